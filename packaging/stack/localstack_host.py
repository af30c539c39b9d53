"""LocalStack on this machine, without Docker: functions run under AWS's Runtime Interface Emulator (`RIE` is its path), and
DynamoDB is another server (`DYNAMODB_LOCAL_PORT`)."""
import json
import os
import socket
import subprocess
import time
from types import SimpleNamespace

import requests
from localstack import config
from localstack.runtime.main import main
from localstack.services.dynamodb.server import DynamodbServer
from localstack.services.lambda_.invocation import runtime_executor
from localstack.services.lambda_.invocation.lambda_models import InvocationResult

LOGS = os.environ["FUNCTION_LOGS"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class HostExecutor(runtime_executor.RuntimeExecutor):
    """One execution environment: an emulator with the program of a function."""

    def start(self, env_vars):
        code = str(self.function_version.config.code.get_unzipped_code_location())
        bootstrap = os.path.join(code, "bootstrap")
        os.chmod(bootstrap, 0o755)
        self.port = free_port()
        self.log_path = os.path.join(LOGS, f"{self.function_version.id.function_name}-{self.id[:8]}.log")
        variables = {key: str(value) for key, value in env_vars.items()}
        variables |= {"PATH": "/usr/bin:/bin", "LAMBDA_TASK_ROOT": code}
        command = [os.environ["RIE"], "--log-level", "warn"]
        command += ["--runtime-interface-emulator-address", f"127.0.0.1:{self.port}"]
        command += ["--runtime-api-address", f"127.0.0.1:{free_port()}", bootstrap]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, cwd=code, env=variables, stdout=log, stderr=subprocess.STDOUT)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError("the emulator did not start")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def invoke(self, payload):
        start = os.path.getsize(self.log_path)
        url = f"http://127.0.0.1:{self.port}/2015-03-31/functions/function/invocations"
        headers = {"X-Amzn-Trace-Id": payload["trace-id"]}
        answer = requests.post(url, data=payload["payload"].encode(), headers=headers, proxies={"http": "", "https": ""})
        body, failed = answer.content, answer.status_code != 200
        if body.startswith(b"Task timed out after"):
            body = json.dumps({"errorType": "Sandbox.Timedout", "errorMessage": body.decode()}).encode()
            failed = True
        elif not failed:
            try:
                document = json.loads(body)
            except ValueError:
                document = None
            failed = isinstance(document, dict) and {"errorType", "errorMessage"} <= document.keys()
        with open(self.log_path, "rb") as log:
            log.seek(start)
            logs = log.read().decode(errors="replace")
        return InvocationResult(payload["invoke-id"], body, is_error=failed, logs=logs)

    def get_address(self):
        return "127.0.0.1"

    def get_endpoint_from_executor(self):
        return "127.0.0.1"

    def get_runtime_endpoint(self):
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}/_localstack_lambda/{self.id}"

    def get_logs(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    @classmethod
    def prepare_version(cls, function_version):
        if function_version.config.code:
            function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version):
        pass

    @classmethod
    def validate_environment(cls):
        return True


# LocalStack would download DynamoDB Local and a Java runtime, and choose Docker for functions.
DynamodbServer.start_dynamodb = lambda self: True
DynamodbServer.stop_dynamodb = lambda self: None
plugins = runtime_executor.EXECUTOR_PLUGIN_MANAGER
plugins.exists = lambda name: True
plugins.load = lambda name: SimpleNamespace(load=lambda: HostExecutor)

if __name__ == "__main__":
    main()
