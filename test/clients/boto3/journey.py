"""Clients that remember what they were answered, and the questions that every refusal and every listing is asked."""

import json

import boto3
from botocore.exceptions import ClientError

ACCOUNT = "000000000000"
IAM = "arn:aws:iam::%s:" % ACCOUNT
MANAGED = "arn:aws:iam::aws:policy/"

_answered = set()
_paginated = set()
_paginators = set()


def client(service, credentials=None):
    """A client of a service; `credentials` are as IAM and STS answer them, the environment's when left out."""
    keys = {}
    if credentials is not None:
        keys = {
            "aws_access_key_id": credentials["AccessKeyId"],
            "aws_secret_access_key": credentials["SecretAccessKey"],
            "aws_session_token": credentials.get("SessionToken"),
        }
    made = boto3.client(service, **keys)
    made.meta.events.register("after-call", _remember)
    for method, operation in made.meta.method_to_api_mapping.items():
        if made.can_paginate(method):
            _paginators.add("%s:%s" % (service, operation))
    return made


def _remember(http_response, parsed, model, **_):
    assert parsed["ResponseMetadata"]["RequestId"], "%s: an answer without a request id" % model.name
    if http_response.status_code < 300:
        _complete(model.output_shape, parsed, model.name)
        _answered.add("%s:%s" % (model.service_model.service_name, model.name))


def _complete(shape, value, where):
    """Every member that botocore's model requires of an answer is in it."""
    if shape is None:
        return
    if shape.type_name == "structure":
        for name in shape.required_members:
            assert name in value, "%s has no %s" % (where, name)
        for name, member in shape.members.items():
            if name in value:
                _complete(member, value[name], "%s.%s" % (where, name))
    elif shape.type_name == "list":
        for item in value:
            _complete(shape.member, item, where + "[]")


def refused(code, operation, **request):
    """The sentence with which an operation is refused; it must be refused with that code."""
    try:
        operation(**request)
    except ClientError as error:
        answered = error.response["Error"]
        assert answered["Code"] == code, "%s instead of %s" % (answered, code)
        # botocore raises the class of its own model for the codes that the model has.
        assert isinstance(error, operation.__self__.exceptions.from_code(code))
        return answered.get("Message", "")
    raise AssertionError("%s was not refused with %s" % (operation.__name__, code))


def always_refused(service, operation):
    """Counts an operation whose only answer is a refusal."""
    _answered.add("%s:%s" % (service, operation))


def pages(connection, method, least, size=2, partly=0, **request):
    """All items of a listing, at least so many, each of them once in pages of that size; `partly` pages beside the last are not full."""
    paginator = connection.get_paginator(method)
    seen = []
    count = 0
    for page in paginator.paginate(**request, PaginationConfig={"PageSize": size}):
        items = _items(paginator, page)
        assert len(items) <= size, "a page of %d items" % len(items)
        seen += items
        count += 1
    whole = _items(paginator, getattr(connection, method)(**request))
    assert len(seen) >= least, "%s: %d items" % (method, len(seen))
    assert count == max(1, -(-len(seen) // size)) + partly, "%s: %d items in %d pages" % (method, len(seen), count)
    assert len(set(map(_text, seen))) == len(seen), "%s shows an item twice" % method
    assert sorted(map(_text, seen)) == sorted(map(_text, whole)), "%s: pages and the whole differ" % method
    _paginated.add("%s:%s" % (connection.meta.service_model.service_name, connection.meta.method_to_api_mapping[method]))
    return seen


def _items(paginator, page):
    return [item for key in paginator.result_keys for item in key.search(page) or []]


def _text(item):
    return json.dumps(item, sort_keys=True, default=str)


def document(*statements, version="2012-10-17"):
    """A policy document."""
    return json.dumps({"Version": version, "Statement": list(statements)})


def allow(actions, resource="*", **more):
    """A statement of an identity's policy."""
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def trust(principal, actions=("sts:AssumeRole",), **more):
    """A trust policy of one statement."""
    return document({"Effect": "Allow", "Principal": principal, "Action": list(actions), **more})


def key_of(iam, user):
    """A new access key of a user."""
    return iam.create_access_key(UserName=user)["AccessKey"]


def arn_of(credentials=None):
    """Who STS says that the credentials are of."""
    return client("sts", credentials).get_caller_identity()["Arn"]


def finish():
    """Prints what was called with success, what was paged, and what botocore has a paginator for."""
    print(json.dumps({"answered": sorted(_answered), "paginated": sorted(_paginated), "paginators": sorted(_paginators)}))
