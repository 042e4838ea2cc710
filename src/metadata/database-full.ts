/** The database found no room for what was to be written. Nothing of the transaction stays; it can be tried again when there is room. */
export class DatabaseFull extends Error {
  override readonly name = "DatabaseFull";
  constructor(cause: unknown) {
    super("the database has no room left on its disk", { cause });
  }
}

/** Runs a transaction; what `isFull` knows as the database's own word for a full disk becomes {@link DatabaseFull}. */
export async function tellingFull<T>(isFull: (error: unknown) => boolean, transaction: () => Promise<T>): Promise<T> {
  try {
    return await transaction();
  } catch (error) {
    throw isFull(error) ? new DatabaseFull(error) : error;
  }
}
