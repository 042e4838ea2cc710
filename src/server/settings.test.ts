import assert from "node:assert/strict";
import { test } from "node:test";
import { SettingsError, readSettings } from "./settings.ts";

const none = { flags: {}, environment: {}, file: {} };

test("defaults need no configuration", () => {
  const settings = readSettings(none);
  assert.deepEqual(settings.listen, { host: "127.0.0.1", port: 4600 });
  assert.deepEqual([settings.account, settings.region, settings.regions], ["000000000000", "us-east-1", ["us-east-1"]]);
  assert.deepEqual([settings.dev, settings.allowPlaintext, settings.undoDays], [false, false, 7]);
});

test("flags win over the environment, the environment over the file", () => {
  const settings = readSettings({
    flags: { undoDays: "1" },
    environment: { SUPERCARGO_UNDO_DAYS: "2", SUPERCARGO_REGION: "eu-west-1" },
    file: { undoDays: "3", region: "eu-west-2", account: "111122223333" },
  });
  assert.deepEqual(
    [settings.undoDays, settings.region, settings.regions, settings.account],
    [1, "eu-west-1", ["eu-west-1"], "111122223333"],
  );
});

const refused: readonly [string, Record<string, string>, RegExp][] = [
  ["beyond loopback without TLS", { SUPERCARGO_LISTEN: "0.0.0.0:4600" }, /refusing to listen on 0\.0\.0\.0 without TLS/],
  ["IPv6 beyond loopback", { SUPERCARGO_LISTEN: "[::]:4600" }, /refusing to listen/],
  ["no port", { SUPERCARGO_LISTEN: "localhost" }, /expected host:port/],
  ["a port out of range", { SUPERCARGO_LISTEN: "localhost:70000" }, /expected host:port/],
  ["an account that is none", { SUPERCARGO_ACCOUNT: "1234" }, /expected 12 digits/],
  ["a region outside the regions", { SUPERCARGO_REGIONS: "eu-west-1" }, /must contain SUPERCARGO_REGION/],
  ["half a TLS pair", { SUPERCARGO_TLS_CERT: "cert.pem" }, /need each other/],
  ["half a root key", { SUPERCARGO_ROOT_ACCESS_KEY_ID: "AKIAAAAAAAAAAAAAAAAA" }, /need each other/],
  ["Postgres without a key file", { SUPERCARGO_DATABASE_URL: "postgres://localhost/x" }, /SUPERCARGO_KEY_FILE is required/],
  ["a public URL with a path", { SUPERCARGO_PUBLIC_URL: "https://example.com/registry" }, /without a path/],
  ["a network that is none", { SUPERCARGO_TRUSTED_PROXIES: "10.0.0.0/33" }, /no address or network/],
  ["a trusted host that is a URL", { SUPERCARGO_TRUSTED_HOSTS: "http://idp.internal" }, /expected host or host:port/],
  ["a KMS that is no URL", { SUPERCARGO_KMS: "kms.internal" }, /expected built-in, aws or an http\(s\) URL/],
  ["a KMS with a password", { SUPERCARGO_KMS: "https://a:b@kms.internal" }, /without credentials/],
  ["a KMS beyond loopback without TLS", { SUPERCARGO_KMS: "http://kms.internal:8080" }, /names kms\.internal:8080 without TLS/],
  ["days that are no number", { SUPERCARGO_UNDO_DAYS: "-1" }, /whole number/],
];
for (const [what, environment, words] of refused) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => readSettings({ ...none, environment }),
      (error) => error instanceof SettingsError && words.test(error.message),
    );
  });
}

test("keys may be kept by AWS, over TLS, on this machine, and where the operator trusts the network", () => {
  const trusted = { SUPERCARGO_TRUSTED_HOSTS: "kms.internal" };
  for (const kms of ["built-in", "aws", "https://kms.internal", "http://127.0.0.1:4600", "http://[::1]:8080", "http://kms.internal:8080"])
    assert.equal(readSettings({ ...none, environment: { ...trusted, SUPERCARGO_KMS: kms } }).kms, kms);
});

test("a refused secret is not repeated", () => {
  const secret = "short-secret";
  assert.throws(
    () =>
      readSettings({
        ...none,
        environment: { SUPERCARGO_ROOT_ACCESS_KEY_ID: "AKIAAAAAAAAAAAAAAAAA", SUPERCARGO_ROOT_SECRET_ACCESS_KEY: secret },
      }),
    (error) => error instanceof SettingsError && !error.message.includes(secret),
  );
});

test("an unknown name in the file is refused", () => {
  assert.throws(() => readSettings({ ...none, file: { reigon: "eu-west-1" } }), /no setting/);
});

test("networks are asked with mapped addresses too", () => {
  const { trustedProxies } = readSettings({ ...none, environment: { SUPERCARGO_TRUSTED_PROXIES: "10.1.0.0/16, fd00::/8" } });
  assert.deepEqual(
    ["10.1.2.3", "::ffff:10.1.2.3", "10.2.0.1", "fd00::1", "::1", "nonsense"].map((address) => trustedProxies.contains(address)),
    [true, true, false, true, false, false],
  );
});

test("allowed beyond loopback when TLS or plaintext is asked for", () => {
  assert.equal(
    readSettings({ ...none, environment: { SUPERCARGO_LISTEN: "0.0.0.0:443", SUPERCARGO_TLS_CERT: "a", SUPERCARGO_TLS_KEY: "b" } }).listen
      .host,
    "0.0.0.0",
  );
  assert.equal(
    readSettings({ ...none, environment: { SUPERCARGO_LISTEN: ":80", SUPERCARGO_ALLOW_PLAINTEXT: "1" } }).listen.host,
    "0.0.0.0",
  );
});

test("trusted hosts are a list, in the case that URLs have", () => {
  const { trustedHosts } = readSettings({
    ...none,
    environment: { SUPERCARGO_TRUSTED_HOSTS: "IdP.internal, 10.0.0.1:8080,[fd00::1]:80," },
  });
  assert.deepEqual(trustedHosts, ["idp.internal", "10.0.0.1:8080", "[fd00::1]:80"]);
  assert.deepEqual(readSettings(none).trustedHosts, []);
});
