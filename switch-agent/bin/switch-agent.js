#!/usr/bin/env -S node --max-semi-space-size=4 --heap-growing-percent=25
// So that what a flood leaves behind is cleared away soon, and the process stays small (docs/security.md).
import "../dist/main.js";
