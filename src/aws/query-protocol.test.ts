import { strict as assert } from "node:assert";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import sts from "../../models/sts-2011-06-15.json" with { type: "json" };
import { loadServiceModel } from "./model.ts";
import { decodeQueryInput, encodeQueryBody, encodeQueryError, parseForm, queryBodyLimitBytes } from "./query-protocol.ts";
import { escapeXml } from "./xml.ts";

const stsModel = loadServiceModel(sts);
/** Types that the model of sts does not have. */
const model = loadServiceModel({
  metadata: { serviceId: "Every", protocol: "query", apiVersion: "1", xmlNamespace: "https://every.example/doc/" },
  operations: {
    Do: { input: { shape: "Input" }, output: { shape: "Input", resultWrapper: "DoResult" } },
    Drop: { input: { shape: "Input" } },
  },
  shapes: {
    Input: {
      type: "structure",
      members: {
        Text: { shape: "Text" },
        Number: { shape: "Number" },
        Ratio: { shape: "Ratio" },
        Flag: { shape: "Flag" },
        At: { shape: "Moment" },
        Blob: { shape: "Blob" },
        List: { shape: "List" },
        Map: { shape: "Map" },
        Inner: { shape: "Input" },
        Inners: { shape: "Inners" },
      },
    },
    Text: { type: "string" },
    Number: { type: "integer" },
    Ratio: { type: "double" },
    Flag: { type: "boolean" },
    Moment: { type: "timestamp" },
    Blob: { type: "blob" },
    List: { type: "list", member: { shape: "Text" } },
    Inners: { type: "list", member: { shape: "Input" } },
    Map: { type: "map", key: { shape: "Text" }, value: { shape: "Text" } },
  },
});

function decode(form: string): unknown {
  const parameters = parseForm(Buffer.from(form));
  assert.ok(parameters.ok);
  const decoded = decodeQueryInput(model, "Input", parameters.value);
  return decoded.ok ? decoded.value : decoded.kind === "serialization" ? decoded.message : decoded.problems;
}

suite("forms", () => {
  test("names and values", () => {
    const parameters = parseForm(Buffer.from("Action=Get+it&a%2Eb=%C3%A9%2B&empty=&bare&&x=1=2&raw=é"));
    assert.ok(parameters.ok);
    assert.deepEqual(
      [...parameters.value],
      [
        ["Action", "Get it"],
        ["a.b", "é+"],
        ["empty", ""],
        ["bare", ""],
        ["x", "1=2"],
        ["raw", "é"],
      ],
    );
  });

  const refused: readonly (readonly [string, string | Uint8Array])[] = [
    ["a name twice", "a=1&a=2"],
    ["a name twice, encoded", "a=1&%61=2"],
    ["broken percent encoding", "a=%zz"],
    ["a percent sign at the end", "a=%"],
    ["what is not UTF-8", "a=%ff"],
    ["raw bytes that are not UTF-8", Uint8Array.of(0x61, 0x3d, 0xff)],
    ["an overlong form", "a=%c0%80"],
    ["too many parameters", Array.from({ length: 4097 }, (_, index) => `a${index}=`).join("&")],
    ["too many separators", "&".repeat(5000)],
    ["too many bytes", `a=${"x".repeat(queryBodyLimitBytes)}`],
  ];
  for (const [name, form] of refused) {
    test(`refused: ${name}`, () => assert.equal(parseForm(typeof form === "string" ? Buffer.from(form) : form).ok, false));
  }

  test("what URLSearchParams writes is read back", () => {
    const pairs = fc.uniqueArray(fc.tuple(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" })), {
      selector: ([name]) => name,
      maxLength: 6,
    });
    const property = fc.property(pairs, (sample) => {
      const wellFormed = sample.map(([name, value]) => [`n${name.toWellFormed()}`, value.toWellFormed()] as [string, string]);
      fc.pre(new Set(wellFormed.map(([name]) => name)).size === wellFormed.length);
      const parameters = parseForm(Buffer.from(new URLSearchParams(wellFormed).toString()));
      assert.deepEqual(parameters.ok ? [...parameters.value] : parameters.problem, wellFormed);
    });
    fc.assert(property, { numRuns: 200 });
  });
});

suite("inputs", () => {
  const cases: readonly (readonly [form: string, value: unknown])[] = [
    ["Action=Do&Version=1&Text=a", { Text: "a" }],
    ["Text=", { Text: "" }],
    ["Number=-5&Ratio=0.25&Flag=true", { Number: -5, Ratio: 0.25, Flag: true }],
    ["At=2026-11-21T07%3A10%3A29Z", { At: Date.parse("2026-11-21T07:10:29Z") }],
    ["At=2026-11-21T07%3A10%3A29.5%2B01%3A00", { At: Date.parse("2026-11-21T06:10:29.500Z") }],
    ["Blob=AQI%3D", { Blob: Buffer.from([1, 2]) }],
    ["List.member.2=b&List.member.1=a&List.member.10=c", { List: ["a", "b", "c"] }],
    ["List=", { List: [] }],
    ["List.member.0=x&List.member.01=x&List.member.a=x", { List: [] }],
    [
      "Map.entry.1.key=a&Map.entry.1.value=1&Map.entry.2.key=__proto__&Map.entry.2.value=2",
      { Map: JSON.parse('{"a":"1","__proto__":"2"}') as unknown },
    ],
    ["Inner.Text=a&Inner.Inner.List.member.1=b", { Inner: { Text: "a", Inner: { List: ["b"] } } }],
    ["Inners.member.1.Text=a&Inners.member.2.Text=b", { Inners: [{ Text: "a" }, { Text: "b" }] }],
    ["__proto__.Text=a&constructor=b&hasOwnProperty.x=1", {}],
    ["Number=five", "Number: STRING_VALUE can not be converted to an Integer"],
    ["Number=1e3", "Number: STRING_VALUE can not be converted to an Integer"],
    ["Flag=yes", "Flag: STRING_VALUE can not be converted to a Boolean"],
    ["At=yesterday", "At: STRING_VALUE can not be converted to a Timestamp"],
    ["Text.x=a", "Text: START_OBJECT can not be converted to a String"],
    ["List=a", "List: STRING_VALUE can not be converted to a List"],
    ["Inner=a", "Inner: STRING_VALUE can not be converted to a Structure"],
    [`${"Inner.".repeat(17)}Text=a`, "A parameter's name has too many parts"],
  ];
  for (const [form, value] of cases) test(form, () => assert.deepEqual(decode(form), value));
});

suite("answers", () => {
  test("GetCallerIdentity", () => {
    const output = { UserId: "123456789012", Account: "123456789012", Arn: "arn:aws:iam::123456789012:root" };
    assert.equal(
      encodeQueryBody(stsModel, "GetCallerIdentity", output, "id-1"),
      '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><UserId>123456789012</UserId><Account>123456789012</Account><Arn>arn:aws:iam::123456789012:root</Arn></GetCallerIdentityResult><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>',
    );
  });

  test("every type", () => {
    const output = {
      Text: "a<b>&\"'\r\n\u0000",
      Number: 5,
      Flag: false,
      At: Date.parse("2026-11-21T07:10:29Z"),
      Blob: Uint8Array.of(1),
      List: ["x", "y"],
      Map: { k: "v" },
      Inners: [],
      Inner: { At: Date.parse("2026-11-21T07:10:29.5Z") },
      Ratio: undefined,
      other: "never written",
    };
    assert.equal(
      encodeQueryBody(model, "Do", output, "id").replace(
        /^<DoResponse xmlns="https:\/\/every.example\/doc\/"><DoResult>(.*)<\/DoResult>.*$/s,
        "$1",
      ),
      "<Text>a&lt;b&gt;&amp;&quot;&apos;&#xD;\n\uFFFD</Text><Number>5</Number><Flag>false</Flag><At>2026-11-21T07:10:29Z</At><Blob>AQ==</Blob>" +
        "<List><member>x</member><member>y</member></List><Map><entry><key>k</key><value>v</value></entry></Map>" +
        "<Inner><At>2026-11-21T07:10:29.500Z</At></Inner><Inners/>",
    );
  });

  test("an operation without an output has no result", () => {
    assert.equal(
      encodeQueryBody(model, "Drop", {}, "id"),
      '<DropResponse xmlns="https://every.example/doc/"><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></DropResponse>',
    );
  });

  test("errors", () => {
    const fault = { code: "ValidationError", message: "Value '<x>'", status: 400, requestId: "id" };
    assert.equal(
      encodeQueryError("https://every.example/doc/", fault),
      '<ErrorResponse xmlns="https://every.example/doc/"><Error><Type>Sender</Type><Code>ValidationError</Code><Message>Value &apos;&lt;x&gt;&apos;</Message></Error><RequestId>id</RequestId></ErrorResponse>',
    );
    assert.match(encodeQueryError("x", { ...fault, status: 500 }), /<Type>Receiver<\/Type>/);
  });

  test("text that XML cannot carry is replaced", () => {
    assert.equal(escapeXml("a\ud800b\u0008c\ufffe😀\t"), "a\ufffdb\ufffdc\ufffd😀\t");
  });
});
