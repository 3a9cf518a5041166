"""What Prometheus sees after turns of the real road."""

from __future__ import annotations

import pytest

from tests.e2e.bad_pictures import png
from tests.e2e.road import Road, eventually, picture, question

pytestmark = [pytest.mark.triton, pytest.mark.asyncio(loop_scope="session")]
STAGES = ["admit", "gather", "join", "recall", "compose", "fit", "infer", "judge", "remember"]
MODEL = 'gen_ai_request_model="echo"'


async def test_every_series_is_there_after_a_turn(echo_road: Road) -> None:
    before = await echo_road.gateway_metrics()
    await echo_road.hear(question(picture(png()), "@echo tokens=5 token_ms=1\ncounted?"))
    await echo_road.refused(question())
    after = await echo_road.gateway_metrics()

    def grown(sample: str) -> float:
        return after[sample] - before.get(sample, 0.0)

    for stage in STAGES:
        assert grown(f'kefu_stage_duration_seconds_count{{stage="{stage}"}}') >= 1, stage
    assert grown(f"gen_ai_server_request_duration_seconds_count{{{MODEL}}}") == 1
    assert grown(f"gen_ai_server_time_to_first_token_seconds_count{{{MODEL}}}") == 1
    assert grown(f"gen_ai_server_time_per_output_token_seconds_count{{{MODEL}}}") == 1
    for kind, tokens in (("visual", 1), ("completion", 5)):
        labels = f'{{{MODEL},gen_ai_token_type="{kind}"}}'
        assert grown(f"gen_ai_client_token_usage_sum{labels}") == tokens
    assert grown("kefu_turn_parts_count") == 1
    assert grown('kefu_requests_rejected_total{reason="TURN_EMPTY"}') == 1
    assert grown('kefu_calls_total{code="OK",method="/kefu.chat.v1.ChatService/StreamChat"}') == 1
    assert after["kefu_admission_queue_depth"] == 0
    assert after["kefu_turns_running"] == 0
    assert after['kefu_dependency_up{dependency="model.echo"}'] == 1
    assert after['kefu_dependency_up{dependency="preprocess"}'] == 1


async def test_gpu_figures_are_those_of_triton(echo_road: Road) -> None:
    theirs = await echo_road.triton_metrics()
    gpus = [sample for sample in theirs if sample.startswith("nv_gpu_utilization{")]

    async def counted() -> bool:
        return (await echo_road.gateway_metrics()).get("kefu_gpu_count") == len(gpus)

    await eventually(counted, f"the gateway reports {len(gpus)} GPUs", seconds=60)
    ours = await echo_road.gateway_metrics()
    utilization = [s for s in ours if s.startswith("kefu_gpu_utilization_ratio")]
    assert len(utilization) == len(gpus), (
        "absent where there is no GPU: a zero would claim an idle one"
    )


async def test_no_id_is_a_label(echo_road: Road) -> None:
    heard = await echo_road.hear(question("who am I?", session_id="session-of-somebody"))
    text = "\n".join(await echo_road.gateway_metrics())
    assert heard.answer.request_id not in text
    assert "session-of-somebody" not in text
