/** The tables of migration 0009: blobs on their way between tiers. */

/** A blob whose tier may have to change; the row goes when somebody has looked. */
export interface BlobTierCheckTable {
  blob_id: number;
  /** When it may be looked at. */
  due_at: number;
}

/** A stored copy that is being made in another tier. Its id is the copy's incarnation, so that garbage collection knows whose it is. */
export interface BlobMoveTable {
  move_id: string;
  blob_id: number;
  /** Put off while bytes flow; a move past it is given up. */
  expires_at: number;
}
