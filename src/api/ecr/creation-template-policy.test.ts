import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { showPolicy } from "./creation-template-policy.ts";

test("a policy is written in ECR's manner", () => {
  const text =
    '{"Version":"2012-10-17","Statement":[{"Sid":"x","Effect":"Allow","Principal":{"AWS":["1","2"]},"Action":["ecr:A"],"Condition":{}},{"Sid":"y \\"z\\"","NotAction":[]}]}';
  assert.equal(
    showPolicy(text),
    `{
  "Version" : "2012-10-17",
  "Statement" : [ {
    "Sid" : "x",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : [ "1", "2" ]
    },
    "Action" : [ "ecr:A" ],
    "Condition" : { }
  }, {
    "Sid" : "y \\"z\\"",
    "NotAction" : [ ]
  } ]
}`,
  );
});

test("property: it reads as the same policy", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      assert.equal(JSON.stringify(JSON.parse(showPolicy(text))), text);
    }),
  );
});
