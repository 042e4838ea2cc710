/** boto3 (botocore) makes its round trip: layer API, image API, every paginator of the operations that exist. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { json, mustRun } from "./tool.ts";

const installed = spawnSync("python3", ["-c", "import boto3"]).status === 0 ? {} : { skip: "not installed: python3's boto3" };
let server: ServerProcess;
before(async () => {
  server = await startServerProcess();
});
after(() => server.close());

const script = `
import boto3, hashlib, json, urllib.request
ecr = boto3.client("ecr")
ecr.create_repository(repositoryName="boto/app", tags=[{"Key": "a", "Value": "b"}])
def put(data):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    up = ecr.initiate_layer_upload(repositoryName="boto/app")
    size = up["partSize"]
    for first in range(0, len(data), size):
        part = data[first:first + size]
        ecr.upload_layer_part(repositoryName="boto/app", uploadId=up["uploadId"], partFirstByte=first, partLastByte=first + len(part) - 1, layerPartBlob=part)
    return ecr.complete_layer_upload(repositoryName="boto/app", uploadId=up["uploadId"], layerDigests=[digest])["layerDigest"]
layer = bytes(range(256)) * 90000
layer_digest = put(layer)
digests = set()
for number in range(23):
    config = json.dumps({"architecture": "amd64", "os": "linux", "number": number}).encode()
    config_digest = put(config)
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": config_digest, "size": len(config)},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": layer_digest, "size": len(layer)}]})
    digests.add(ecr.put_image(repositoryName="boto/app", imageManifest=manifest, imageTag="v%d" % number)["image"]["imageId"]["imageDigest"])
for number in range(11):
    ecr.create_repository(repositoryName="boto/more%02d" % number)
images = [d["imageDigest"] for page in ecr.get_paginator("describe_images").paginate(repositoryName="boto/app", PaginationConfig={"PageSize": 5}) for d in page["imageDetails"]]
tags = [i["imageTag"] for page in ecr.get_paginator("list_images").paginate(repositoryName="boto/app", PaginationConfig={"PageSize": 4}) for i in page["imageIds"]]
names = [r["repositoryName"] for page in ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2}) for r in page["repositories"]]
available = ecr.batch_check_layer_availability(repositoryName="boto/app", layerDigests=[layer_digest, "sha256:" + "0" * 64, "nonsense"])
url = ecr.get_download_url_for_layer(repositoryName="boto/app", layerDigest=layer_digest)["downloadUrl"]
same = urllib.request.urlopen(url).read() == layer
deleted = ecr.batch_delete_image(repositoryName="boto/app", imageIds=[{"imageTag": "v0"}, {"imageTag": "gone"}, {}])
try:
    ecr.describe_images(repositoryName="boto/app", imageIds=[{"imageTag": "v0"}])
    missing = "found"
except ecr.exceptions.ImageNotFoundException as error:
    missing = str(error)
print(json.dumps({"images": len(images), "distinct": len(set(images)), "same_set": set(images) == digests, "tags": len(tags), "distinct_tags": len(set(tags)),
  "names": names, "availability": [l["layerAvailability"] for l in available["layers"]], "failures": [f["failureCode"] for f in available["failures"]],
  "same": same, "deleted": [f["failureCode"] for f in deleted["failures"]], "missing": missing,
  "identity": boto3.client("sts").get_caller_identity()["Account"], "registry": ecr.describe_registry()["registryId"]}))
`;

test("boto3: push by the layer API, page through everything once, read back, delete", installed, async () => {
  const result = json<Record<string, unknown>>(await mustRun(["python3", "-c", script], { environment: server.awsEnvironment }));
  assert.deepEqual([result["images"], result["distinct"], result["same_set"]], [23, 23, true]);
  assert.deepEqual([result["tags"], result["distinct_tags"]], [23, 23]);
  assert.deepEqual(result["names"], [
    "boto/app",
    ...Array.from({ length: 11 }, (_, index) => `boto/more${String(index).padStart(2, "0")}`),
  ]);
  assert.deepEqual([result["availability"], result["failures"]], [["AVAILABLE", "UNAVAILABLE"], ["InvalidLayerDigest"]]);
  assert.equal(result["same"], true);
  assert.deepEqual((result["deleted"] as string[]).toSorted(), ["ImageNotFound", "MissingDigestAndTag"]);
  assert.match(
    String(result["missing"]),
    /The image with imageId \{imageDigest:'null', imageTag:'v0'\} does not exist within the repository with name 'boto\/app'/,
  );
  assert.deepEqual([result["identity"], result["registry"]], ["000000000000", "000000000000"]);
});
