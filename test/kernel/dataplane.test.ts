import { dataplaneContract } from "../contracts/dataplane.ts";
import { EbpfRig } from "./dataplane-rig.ts";

dataplaneContract("eBPF dataplane by TCX, IPv4 underlay", async () => new EbpfRig("tcx", 4));
