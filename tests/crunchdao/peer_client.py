"""Run by the interpreter of `model-runner-client`: does what lines of JSON on stdin say, and answers on stdout.

python peer_client.py {"crunch_id": ..., "port": ..., "base": ..., "args": [...], "options": {...}}
"""

import asyncio
import io
import json
import sys

import pandas
from model_runner_client.grpc.generated.commons_pb2 import Argument, KwArgument, Variant
from model_runner_client.model_concurrent_runners import DynamicSubclassModelConcurrentRunner
from model_runner_client.security.credentials import SecureCredentials
from model_runner_client.utils.datatype_transformer import detect_data_type, encode_data


def variant(value):
    if isinstance(value, dict) and "$table" in value:
        value = pandas.read_json(io.StringIO(value["$table"]), orient="table").reset_index(drop=True)
    kind = detect_data_type(value)
    return Variant(type=kind, value=encode_data(kind, value))


def arguments(args, kwargs):
    positional = [Argument(position=position, data=variant(value)) for position, value in enumerate(args, 1)]
    return positional, [KwArgument(keyword=name, data=variant(value)) for name, value in kwargs.items()]


def plain(value):
    if isinstance(value, pandas.DataFrame):
        return {"$table": value.to_json(orient="table", index=False)}
    return value


async def call(runner, method, args=(), kwargs=None, per_model=None, timeout=None):
    """Outcomes by model id: status, result and detail."""
    kwargs = kwargs or {}

    def own(model):
        return arguments(args, {**kwargs, **per_model.get(model.model_id, {})})

    given = arguments(args, kwargs) if per_model is None else own
    results = await runner.call(method, given, timeout=timeout)
    return {
        model.model_id: [result.status.value, plain(result.result), result.detail] for model, result in results.items()
    }


async def until(runner, models):
    """Wait until exactly these models, each with its deployment, are connected."""
    while {model.model_id: model.deployment_id for model in runner.model_cluster.models_run.values()} != models:  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # it tells nobody


async def names(runner):
    return {model.model_id: model.model_name for model in runner.model_cluster.models_run.values()}


async def main(told):
    args, kwargs = arguments(told.get("args", ()), told.get("kwargs", {}))
    runner = DynamicSubclassModelConcurrentRunner(
        timeout=30,
        crunch_id=told["crunch_id"],
        host="127.0.0.1",
        port=told["port"],
        base_classname=told["base"],
        instance_args=args,
        instance_kwargs=kwargs,
        **told.get("options", {}),
        secure_credentials=SecureCredentials.from_directory(told["credentials"]) if "credentials" in told else None,
    )
    runner.model_cluster.ws_client.retry_interval = told.get("retry_interval", 10)
    await runner.init()
    syncing = asyncio.create_task(runner.sync())
    answer("ready")
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, given = json.loads(line)
        answer(await {"call": call, "until": until, "names": names}[name](runner, **given))
    syncing.cancel()


def answer(value):
    print(json.dumps(value), flush=True)


asyncio.run(main(json.loads(sys.argv[1])))
