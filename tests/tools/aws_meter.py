"""What AWS would bill for requests to moto: write and read units of DynamoDB, with those of both indexes, and SQS requests.
Rules: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html. Each request is one JSON line
in a log file."""
import base64
import json
import math

from moto.dynamodb.models import dynamodb_backends

ACCOUNT = "123456789012"
REFUSED = "ConditionalCheckFailedException"


def value_size(value):
    kind, content = next(iter(value.items()))
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return (len(content.strip("-").strip("0")) + 1) // 2 + 1
    if kind == "B":
        return len(content) if isinstance(content, bytes) else len(base64.b64decode(content))
    return 1 if kind in ("BOOL", "NULL") else len(json.dumps(content))


def size(item):
    return sum(len(name.encode()) + value_size(value) for name, value in (item or {}).items())


def units(item, unit):
    return max(1, math.ceil(size(item) / unit))


class Table:
    def __init__(self, region, name):
        self.table = dynamodb_backends[ACCOUNT][region].tables[name]
        self.keys = [self.table.hash_key_attr, self.table.range_key_attr]

    def item(self, key):
        found = self.table.get_item(*(DynamoKey.of(key[name]) for name in self.keys))
        return found.to_json()["Attributes"] if found else None

    def entry(self, index, item):
        """The entry of an item in an index."""
        keys = [attribute["AttributeName"] for attribute in index.schema]
        if not item or any(key not in item for key in keys):
            return None
        names = {*self.keys, *keys, *(index.projection or {}).get("NonKeyAttributes", [])}
        return {name: value for name, value in item.items() if name in names}

    def index_units(self, index, before, after):
        keys = [attribute["AttributeName"] for attribute in index.schema]
        before, after = self.entry(index, before), self.entry(index, after)
        if before == after:
            return 0
        entries = [entry for entry in (before, after) if entry]
        moved = len(entries) == 2 and any(before[key] != after[key] for key in keys)
        written = [units(entry, 1024) for entry in entries]
        return sum(written) if moved else max(written)


class DynamoKey:
    @staticmethod
    def of(value):
        from moto.dynamodb.models.dynamo_type import DynamoType

        return DynamoType(value)


def writes(operation, request):
    """The table and the key of each item that a request writes or checks."""
    if operation == "PutItem":
        return [(request["TableName"], request["Item"])]
    if operation in ("UpdateItem", "DeleteItem"):
        return [(request["TableName"], request["Key"])]
    if operation == "TransactWriteItems":
        parts = [part for item in request["TransactItems"] for part in item.values()]
        return [(part["TableName"], part.get("Key") or part["Item"]) for part in parts]
    return []


class Meter:
    def __init__(self, path):
        self.log = open(path, "a", buffering=1)

    def measure(self, headers, body, answer):
        """Answers a request, and logs its units. `answer` returns status, headers and content."""
        service, _, operation = headers["target"].partition(".")
        if service == "AmazonSQS":
            self.write(service="sqs", operation=operation, table=json.loads(body).get("QueueUrl", ""))
            return answer()
        if not service.startswith("DynamoDB"):
            return answer()
        request = json.loads(body or b"{}")
        names = request.get("RequestItems") or [request.get("TableName")]
        tables = dynamodb_backends[ACCOUNT][headers["region"]].tables
        if operation != "TransactWriteItems" and any(name not in tables for name in names):
            return answer()
        targets = []
        if writes(operation, request):
            targets = [(Table(headers["region"], name), key) for name, key in writes(operation, request)]
        before = [table.item(key) for table, key in targets]
        status, answer_headers, content = answer()
        result = json.loads(content or b"{}")
        if targets:
            after = [table.item(key) for table, key in targets]
            self.write(**self.written(operation, request, targets, before, after, result))
        elif operation in ("GetItem", "BatchGetItem", "Query"):
            self.read(headers["region"], operation, request, result)
        return status, answer_headers, content

    def written(self, operation, request, targets, before, after, result):
        factor = 2 if operation == "TransactWriteItems" else 1
        table_units, indexes = 0, {}
        refused = "__type" in result
        if not refused or REFUSED in result["__type"] or "Canceled" in result["__type"]:
            for (table, _), old, new in zip(targets, before, after):
                table_units += factor * max(units(old, 1024), units(new, 1024))
                for index in table.table.global_indexes:
                    indexes[index.name] = indexes.get(index.name, 0) + table.index_units(index, old, new)
        return {
            "service": "dynamodb",
            "operation": operation + (" refused" if refused else ""),
            "table": writes(operation, request)[0][0],
            "key": targets[-1][1]["pk"]["S"],
            "part": targets[-1][1]["sk"]["S"] != "head",
            "bytes": max(size(item) for item in before + after),
            "wru": table_units + sum(indexes.values()),
            "indexes": indexes,
        }

    def read(self, region, operation, request, result):
        if operation == "BatchGetItem":
            (name, wanted), = request["RequestItems"].items()
            items = [Table(region, name).item(key) for key in wanted["Keys"]]
            consistent = wanted.get("ConsistentRead")
            rru = sum(units(item, 4096) for item in items)
            key = wanted["Keys"][0]["pk"]["S"]
        elif operation == "GetItem":
            name, key = request["TableName"], request["Key"]["pk"]["S"]
            consistent = request.get("ConsistentRead")
            rru = units(Table(region, name).item(request["Key"]), 4096)
        else:
            name, key = request["TableName"], "index " + request.get("IndexName", "none")
            consistent = request.get("ConsistentRead")
            rru = max(1, math.ceil(sum(size(item) for item in result.get("Items", [])) / 4096))
        rru = rru if consistent else rru / 2
        self.write(service="dynamodb", operation=operation, table=name, key=key, rru=rru)

    def write(self, **line):
        self.log.write(json.dumps(line) + "\n")
