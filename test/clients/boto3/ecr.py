"""Does with boto3 what it is told, a line of JSON a request: calls, paginators and waiters of ECR. What botocore loses of an answer is an error."""

import base64
import json
import sys

from botocore.exceptions import WaiterError

from journey import client

ecr = client("ecr")
methods = {operation: method for method, operation in ecr.meta.method_to_api_mapping.items()}
waiters = {"ImageScanComplete": "image_scan_complete", "LifecyclePolicyPreviewComplete": "lifecycle_policy_preview_complete"}


def keep(http_response, parsed, model, **_):
    """Whatever was sent is in what botocore made of it, member for member."""
    if http_response.status_code == 200 and http_response.content:
        compare(json.loads(http_response.content), parsed, model.name)


def compare(sent, parsed, where):
    if isinstance(sent, dict):
        for name, value in sent.items():
            assert name in parsed, "%s.%s is not in botocore's model" % (where, name)
            compare(value, parsed[name], "%s.%s" % (where, name))
    elif isinstance(sent, list):
        assert len(sent) == len(parsed), where
        for one, other in zip(sent, parsed):
            compare(one, other, where + "[]")


ecr.meta.events.register("after-call", keep)


def call(operation, request):
    if "layerPartBlob" in request:
        request["layerPartBlob"] = base64.b64decode(request["layerPartBlob"])
    answer = getattr(ecr, methods[operation])(**request)
    del answer["ResponseMetadata"]
    return answer


def items(operation, request, size):
    paginator = ecr.get_paginator(methods[operation])
    seen = []
    for page in paginator.paginate(**request, PaginationConfig={"PageSize": size}):
        found = [item for key in paginator.result_keys for item in key.search(page) or []]
        assert len(found) <= size, "a page of %d items" % len(found)
        seen += found
    return seen


def wait(name, request):
    try:
        ecr.get_waiter(waiters[name]).wait(**request, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    except WaiterError as error:
        assert "terminal failure state" in str(error), error
        return "failed"
    return "succeeded"


does = {"call": call, "items": items, "wait": wait}
for line in sys.stdin:
    verb, *words = json.loads(line)
    try:
        answer = {"answer": does[verb](*words)}
    except Exception as error:  # told to who asked, who knows what it was for
        answer = {"error": "%s: %s" % (type(error).__name__, error)}
    print(json.dumps(answer, default=str), flush=True)
