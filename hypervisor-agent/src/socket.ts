/** Where the control API is when nothing else is said. Both the agent and its CLI need it. */
export const DEFAULT_SOCKET = "unix:/run/split-nve/hypervisor-agent.sock";
