/** Where an NVA serves its control API, if neither the config nor `--address` says otherwise. */
export const DEFAULT_SOCKET = "unix:/run/split-nve/nva.sock";
