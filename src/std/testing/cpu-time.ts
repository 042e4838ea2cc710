/** Time of the processor, for tests that something is linear: it hardly depends on what else runs on the machine. */

/** Begins to measure; what it returns tells the milliseconds of processor time that this process has used since. */
export function startCpuTime(): () => number {
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
}
