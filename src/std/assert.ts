/** A programmer's error: logged with its stack, answered 500, nothing leaked. */
export class AssertionFailure extends Error {
  override readonly name = "AssertionFailure";
}

/** States what must be true here whatever a client sends. Throws {@link AssertionFailure} otherwise. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}

/** Marks a branch that a closed union makes impossible; a new member does not compile. */
export function unreachable(value: never): never {
  throw new AssertionFailure(`unreachable value: ${JSON.stringify(value)}`);
}
