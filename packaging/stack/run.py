"""Deploys a bundle to emulators of AWS and sends 50 events through it. Called by `run`.

LocalStack has CloudFormation, Lambda, SQS and Secrets Manager; moto, behind one lock, has DynamoDB; `masshook simulate` is Zoho;
callbacks are verified here. It has no HTTP API, no layers, no CodeDeploy and no IAM: the HTTP events of API Gateway invoke the
alias of the function, the config is a file, and permissions are not tested.

Usage: run.py BUNDLE PROGRAMS LOCALSTACK_PYTHON MOTO_PYTHON
"""
import base64
import concurrent.futures
import hashlib
import hmac
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import boto3
import botocore.config
import samcli

ROOT = Path(__file__).resolve().parent.parent.parent
EVENTS = 50
REGION, ACCOUNT = "us-east-1", "000000000000"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION}
SECRETS = json.loads((ROOT / "events/local/env.json").read_text())["MasshookFunction"]
# What has another answer than jobs, or is not an event of a sender.
NOT_SENT = {"sweep-schedule.json", "wake-ups-sqs.json", "health-http-api-v2.json", "jobs-dry-run-http-api-v2.json"}
FINAL = {"succeeded", "partially_succeeded", "failed", "undeliverable"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def say(text):
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def secret_name(variable):
    return "masshook/" + variable.lower().replace("_", "-")


class Receiver(http.server.ThreadingHTTPServer):
    """Verifies callbacks as Standard Webhooks says."""

    def __init__(self, port):
        self.callbacks, self.invalid = {}, 0
        super().__init__(("127.0.0.1", port), Receiver.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def record(self, headers, body):
        key = base64.b64decode(SECRETS["CALLBACK_SECRET"].removeprefix("whsec_"))
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        if wanted not in headers["webhook-signature"].split(" "):
            self.invalid += 1
        self.callbacks[headers["webhook-id"]] = json.loads(body)["type"]

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.server.record(self.headers, body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass


class Processes:
    """The servers, which end with the test."""

    def __init__(self, folder):
        self.folder, self.running = folder, []

    def start(self, name, command, env, port):
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                [str(part) for part in command], env=env, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder,
                start_new_session=True,
            )
        self.running.append(process)
        for _ in range(600):
            if process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                return
            except OSError:
                time.sleep(0.1)
        sys.exit(f"{name} did not start:\n{(self.folder / f'{name}.log').read_text()[-3000:]}")

    def stop(self):
        running, self.running = self.running, []
        for process in reversed(running):
            # With the functions that LocalStack has started.
            for sent in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, sent)
                    process.wait(10)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass


def adapted_template(folder, config, environment):
    """Changes what LocalStack cannot do: layers, numbers from mappings, and the endpoints of AWS."""
    path = folder / "template.yaml"
    template = path.read_text()
    assert template.count("MASSHOOK_CONFIG: /opt/masshook.yaml") == 2
    variables = "".join(f"\n          {key}: {json.dumps(value)}" for key, value in environment.items())
    template = template.replace("MASSHOOK_CONFIG: /opt/masshook.yaml", f"MASSHOOK_CONFIG: {config}{variables}")
    template, found = re.subn(r"VisibilityTimeout: !FindInMap .*", "VisibilityTimeout: 660", template)
    assert found == 1
    path.write_text(template)


def main():
    bundle, programs, localstack_python, moto_python = (Path(argument).absolute() for argument in sys.argv[1:])
    folder = Path(tempfile.mkdtemp(prefix="masshook-stack-"))
    processes = Processes(folder)
    try:
        test(folder, processes, bundle, programs, localstack_python, moto_python)
        processes.stop()
        shutil.rmtree(folder)
        say("stack-test: passed")
    except BaseException:
        print(f"the logs are in {folder}", file=sys.stderr)
        raise
    finally:
        processes.stop()


def extract(archive, folder):
    with tarfile.open(archive) as opened:
        opened.extractall(folder)
        return folder / opened.getnames()[0].split("/")[0]


def start_servers(folder, processes, masshook, localstack_python, moto_python):
    aws, dynamodb, zoho = free_port(), free_port(), free_port()
    base = {"PATH": os.environ["PATH"], "HOME": str(folder), **KEYS}
    (folder / "functions").mkdir()
    moto = [moto_python, ROOT / "tests/tools/moto_locked.py", dynamodb]
    processes.start("dynamodb", moto, {**base, "MOTO_ACCOUNT_ID": ACCOUNT}, dynamodb)
    simulator = [masshook, "simulate", "--listen", f"127.0.0.1:{zoho}", "--records", "Leads=2000"]
    processes.start("zoho", simulator, base, zoho)
    settings = {
        "GATEWAY_LISTEN": f"127.0.0.1:{aws}",
        "DYNAMODB_LOCAL_PORT": str(dynamodb),
        "RIE": str(Path(samcli.__file__).parent / "local/rapid/aws-lambda-rie-x86_64"),
        "FUNCTION_LOGS": str(folder / "functions"),
        "FILESYSTEM_ROOT": str(folder / "localstack"),
        "TMPDIR": str(folder),
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DISABLE_EVENTS": "1",
        "DNS_ADDRESS": "0",
        "LAMBDA_SYNCHRONOUS_CREATE": "1",
        "PROVIDER_OVERRIDE_CLOUDFORMATION": "engine-legacy",
        # AWS retries an asynchronous invocation after one and after two minutes.
        "LAMBDA_RETRY_BASE_DELAY": "1",
    }
    processes.start("localstack", [localstack_python, ROOT / "packaging/stack/localstack_host.py"], {**base, **settings}, aws)
    return aws, dynamodb, zoho


def test(folder, processes, bundle, programs, localstack_python, moto_python):
    stack, tools = extract(bundle, folder), extract(programs, folder)
    masshook = tools / "masshook"
    began = time.monotonic()
    aws, dynamodb, zoho = start_servers(folder, processes, masshook, localstack_python, moto_python)
    receiver = Receiver(free_port())
    endpoints = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{aws}", "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{dynamodb}"}
    say(f"servers run after {time.monotonic() - began:.0f} s")

    options = {"region_name": REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    options |= {"endpoint_url": endpoints["AWS_ENDPOINT_URL"]}
    patient = botocore.config.Config(read_timeout=120, retries={"max_attempts": 0}, max_pool_connections=16)
    client = lambda name: boto3.client(name, config=patient, **options)  # noqa: E731
    secrets = {name: value for name, value in SECRETS.items() if name != "RUST_LOG"}
    manager = client("secretsmanager")
    for name, value in secrets.items():
        manager.create_secret(Name=secret_name(name), SecretString=value)

    config = (ROOT / "events/masshook.yaml").read_text()
    config = re.sub(r"env:([A-Z_]+)", lambda found: f"secretsmanager:{secret_name(found.group(1))}", config)
    config = config.replace("127.0.0.1:9090", f"127.0.0.1:{zoho}")
    config = config.replace("127.0.0.1:9191", f"127.0.0.1:{receiver.server_port}")
    config_file = folder / "masshook.yaml"
    config_file.write_text(config)
    adapted_template(stack, config_file, endpoints)

    outputs = deploy(stack, endpoints, secrets, client)
    environment = {**KEYS, **endpoints, "PATH": os.environ["PATH"], "MASSHOOK_TABLE": outputs["TableName"],
                   "MASSHOOK_QUEUE_URL": outputs["QueueUrl"], "MASSHOOK_CONFIG": str(config_file),
                   "MASSHOOK_FAILED_EVENTS_QUEUE_URL": outputs["FailedEventsQueueUrl"]}

    def command(*arguments, code=0):
        ran = subprocess.run([masshook, *arguments, "--json"], env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == code, f"{arguments}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return json.loads(ran.stdout)

    functions = client("lambda")
    send_events(functions, outputs["InboundFunctionArn"], zoho)
    finish(command, receiver)
    check_queues(client("sqs"), outputs)
    redrive(functions, outputs, client("sqs"), command)


def deploy(stack, endpoints, secrets, client):
    began = time.monotonic()
    arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:"
    arns = lambda names: ",".join(f"{arn}{secret_name(name)}-??????" for name in names)  # noqa: E731
    worker = ["ZOHO_CREDENTIALS", "CALLBACK_SECRET"]
    inbound = [name for name in secrets if name not in worker]
    arguments = ["deploy", "--template", "template.yaml", "--stack-name", "masshook", "--resolve-s3"]
    arguments += ["--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar"]
    arguments += ["--parameter-overrides", f"InboundSecretArns={arns(inbound)}", f"WorkerSecretArns={arns(worker)}"]
    # Nothing of the user's, and not the sample settings.
    (stack / "samconfig.toml").unlink()
    env = {"PATH": os.environ["PATH"], "HOME": str(stack), "SAM_CLI_TELEMETRY": "0", **KEYS, **endpoints}
    command = [sys.executable, "-m", "samcli", *arguments]
    deployed = subprocess.run(command, cwd=stack, env=env, capture_output=True, text=True, check=False)
    assert deployed.returncode == 0, f"{deployed.stdout[-6000:]}\n{deployed.stderr[-3000:]}"
    described = client("cloudformation").describe_stacks(StackName="masshook")["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
    say(f"{described['StackStatus']} after {time.monotonic() - began:.0f} s")
    assert outputs["InboundFunctionArn"].endswith(":live"), outputs["InboundFunctionArn"]
    for name, value in sorted(outputs.items()):
        print(f"          {name} = {value}")
    return outputs


def form(number):
    """A signed form of Typeform as an event of an HTTP API."""
    event = json.loads((ROOT / "events/typeform-http-api-v2.json").read_text())
    lead = str(5725767000003000064 + number)
    body = json.dumps({"event_id": f"stack-{number}", "event_type": "form_response",
                       "form_response": {"token": f"token-{number}", "hidden": {"zoho_lead_id": lead}}})
    mac = hmac.new(SECRETS["TYPEFORM_SECRET"].encode(), body.encode(), hashlib.sha256).digest()
    event["headers"]["typeform-signature"] = "sha256=" + base64.b64encode(mac).decode()
    event["body"] = body
    event["isBase64Encoded"] = False
    return event


def send_events(functions, function, zoho):
    def invoke(event):
        answer = functions.invoke(FunctionName=function, Payload=json.dumps(event).encode())
        document = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, document
        return document

    began = time.monotonic()
    files = [path for path in sorted((ROOT / "events").glob("*.json")) if path.name not in NOT_SENT]
    kinds = Counter()
    for path in files:
        answer = invoke(json.loads(path.read_text()))
        kind = answer.get("statusCode", "event")
        kinds[kind] += 1
        assert kind in (200, 202, "event"), f"{path.name}: {answer}"
        assert not answer.get("batchItemFailures"), f"{path.name}: {answer}"
    numbers = range(EVENTS - len(files))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        statuses = Counter(answer["statusCode"] for answer in pool.map(invoke, map(form, numbers)))
    assert statuses == {202: len(numbers)}, statuses
    repeated = invoke(form(0))
    assert repeated["statusCode"] == 202, repeated
    say(f"{EVENTS} events after {time.monotonic() - began:.0f} s: {len(files)} files {dict(kinds)}, {len(numbers)} signed forms")


def finish(command, receiver):
    began = time.monotonic()
    while True:
        jobs = command("jobs", "list", "--all")["jobs"]
        statuses = Counter(job["status"] for job in jobs)
        if set(statuses) <= FINAL or time.monotonic() - began > 180:
            break
        time.sleep(1)
    say(f"jobs after {time.monotonic() - began:.0f} s: {dict(statuses)}; {len(receiver.callbacks)} callbacks "
        f"{dict(Counter(receiver.callbacks.values()))}, {receiver.invalid} with an invalid signature")
    assert set(statuses) <= FINAL, statuses
    assert statuses["succeeded"] >= EVENTS - 15, statuses
    assert receiver.invalid == 0
    forms = [job for job in jobs if job.get("route") == "typeform-signup"]
    done = [job for job in forms if job["status"] == "succeeded"]
    assert len(receiver.callbacks) >= len(done), "each form has a callback"


def depth(sqs, url):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(value) for value in attributes.values())


def check_queues(sqs, outputs):
    depths = {name: depth(sqs, outputs[name]) for name in ("DeadLetterQueueUrl", "FailedEventsQueueUrl")}
    say(f"queues: {depths}")
    assert depths == {"DeadLetterQueueUrl": 0, "FailedEventsQueueUrl": 0}


def redrive(functions, outputs, sqs, command):
    """An event that the function cannot process is retried, put into the queue, and stays there when redriven."""
    # LocalStack looks for the settings of the version instead of those of the alias.
    name = outputs["InboundFunctionName"]
    settings = functions.get_function_event_invoke_config(FunctionName=name, Qualifier="live")
    version = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    wanted = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
    settings = {key: settings[key] for key in wanted}
    functions.put_function_event_invoke_config(FunctionName=name, Qualifier=version, **settings)
    event = json.dumps({"from": "nobody"}).encode()
    answer = functions.invoke(FunctionName=outputs["InboundFunctionArn"], InvocationType="Event", Payload=event)
    assert answer["StatusCode"] == 202
    began = time.monotonic()
    while depth(sqs, outputs["FailedEventsQueueUrl"]) == 0:
        assert time.monotonic() - began < 120, "the failed event does not arrive in its queue"
        time.sleep(1)
    shown = command("deliveries", "redrive", "--dry-run")["events"]
    assert len(shown) == 1 and "match no supported event" in shown[0]["reason"], shown
    again = command("deliveries", "redrive", "--yes", code=1)["results"]
    assert [result["outcome"] for result in again] == ["failed"], again
    say(f"failed event in its queue after {time.monotonic() - began:.0f} s: {shown[0]['reason'][:90]}")


if __name__ == "__main__":
    main()
