/** Where the agent serves its control API, if neither the config nor `--socket` says otherwise. */
export const DEFAULT_SOCKET = "unix:/run/split-nve/switch-agent.sock";
