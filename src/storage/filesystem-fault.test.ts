import assert from "node:assert/strict";
import { test } from "node:test";
import { storageFault } from "./filesystem-fault.ts";

const systemError = (code: string): Error => Object.assign(new Error("secret/path"), { code });
const kinds = {
  ENOENT: "not-found",
  ENOSPC: "no-space",
  EDQUOT: "no-space",
  EIO: "unavailable",
  EMFILE: "unavailable",
  EROFS: "unavailable",
};

for (const [code, kind] of Object.entries(kinds)) {
  test(`${code} means ${kind}`, () => {
    const cause = systemError(code);
    const fault = storageFault(cause, "writing");
    assert.ok(fault instanceof Error && "kind" in fault);
    assert.deepEqual([fault.name, fault.kind, fault.message, fault.cause], ["StorageError", kind, `writing failed with ${code}`, cause]);
  });
}

test("a programmer's error stays what it is, and so does a fault that was named already", () => {
  for (const error of [new TypeError("no"), systemError("ERR_INVALID_ARG_TYPE"), storageFault(systemError("EIO"), "reading")])
    assert.equal(storageFault(error, "writing"), error);
});
