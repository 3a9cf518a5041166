"""`./dev up`: the whole road on this machine, a real answer to a sample picture, and then it stays until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

from tools.house import ROOT, House, Ports

SAMPLE = ROOT / "samples/refund.png"
QUESTION = "售后单号是什么？"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev up",
        description="Starts Triton with the reader, the preprocessing sidecar and the gateway; answers a sample.",
    )
    parser.add_argument("--gateway-port", type=int, default=50051)
    parser.add_argument("--once", action="store_true", help="answer the sample, then stop")
    return parser.parse_args()


async def _up(options: argparse.Namespace) -> int:
    ports = Ports(gateway=options.gateway_port)
    if taken := ports.taken():
        print(
            f"something listens on port {', '.join(map(str, taken))} already: another ./dev up? "
            "Stop it, or give the gateway another port with --gateway-port.",
            file=sys.stderr,
        )
        return 1
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with House.open(ROOT / ".kefu/run", ports) as house:
        serving = asyncio.create_task(_serve(house, options))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        code = 0
        if serving.done():
            code = serving.result()
        else:
            serving.cancel()
        print("\nstopping: answers under way may finish", flush=True)
    print("stopped; nothing is left behind", flush=True)
    return code


async def _serve(house: House, options: argparse.Namespace) -> int:
    if not await _wait(house):
        return 1
    code = await _ask(house)
    if options.once or code:
        return code
    _tell(house)
    await asyncio.Event().wait()
    return 0


async def _wait(house: House, seconds: float = 240.0) -> bool:
    """Waits until everything serves, and tells what is still missing as it changes."""
    start, told = time.monotonic(), None
    while missing := await house.missing():
        if missing != told:
            print(f"  starting: waiting for {', '.join(missing)}", flush=True)
            told = missing
        if time.monotonic() - start > seconds:
            print(f"not ready after {seconds:.0f} s: {', '.join(missing)}", file=sys.stderr)
            for name in house.keeper.kept:
                print(f"--- the end of {name}'s log\n{house.keeper.tail(name)}", file=sys.stderr)
            return False
        await asyncio.sleep(0.25)
    print(f"  everything serves after {time.monotonic() - start:.1f} s\n", flush=True)
    return True


async def _ask(house: House) -> int:
    kefu = Path(sys.executable).with_name("kefu")
    command = [str(kefu), "chat", "--address", house.gateway, "--image", str(SAMPLE), QUESTION]
    shown = f'kefu chat --image {SAMPLE.relative_to(ROOT)} "{QUESTION}"'
    print(f"$ ./dev {shown}", flush=True)
    process = await asyncio.create_subprocess_exec(*command)
    return await process.wait()


def _tell(house: House) -> None:
    ports = house.ports
    print(
        f"""
Kefu is up. Ctrl-C stops it.
  gateway (gRPC)        {house.gateway}
  gateway metrics       http://127.0.0.1:{ports.gateway_metrics}/metrics
  sidecar (gRPC)        unix:{house.socket}
  sidecar metrics       http://127.0.0.1:{ports.preprocess_metrics}/metrics
  Triton (gRPC)         {house.triton}
  Triton metrics        http://127.0.0.1:{ports.triton_metrics}/metrics
  model host's metrics  http://127.0.0.1:{ports.modelhost_metrics}/metrics
  logs                  {house.folder.relative_to(ROOT) / "log"}

In another terminal:
  ./dev kefu chat --image samples/{SAMPLE.name} "退款金额是多少？"
  ./dev kefu health
""",
        flush=True,
    )


def main() -> int:
    return asyncio.run(_up(_arguments()))


if __name__ == "__main__":
    sys.exit(main())
