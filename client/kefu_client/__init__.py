"""Asks Kefu about pictures. Needs grpcio and protobuf alone.

    from kefu_client import KefuClient, picture

    with KefuClient("127.0.0.1:50051") as kefu:
        answer = kefu.ask("为什么被拒?", picture("refund.png"))
        print(answer.text, answer.confidence.score)

        with kefu.stream("How much did I pay?", picture("order.png")) as stream:
            for piece in stream.text():
                print(piece, end="", flush=True)
        print(stream.answer.usage.completion_tokens)

**From asyncio** use the generated stubs on a `grpc.aio` channel with the same building blocks; there is no asynchronous
twin of `KefuClient`, because everything that is worth sharing is already a plain function (`question`,
`channel_options`, `KefuCallError.of`), and what would be left is a second copy of every method:

    async with grpc.aio.insecure_channel(address, options=channel_options(address)) as channel:
        stub = ChatServiceStub(channel)
        request = StreamChatRequest(question=question("为什么被拒?", picture("refund.png")))
        try:
            async for response in stub.StreamChat(request, timeout=120):
                ...
        except grpc.RpcError as error:
            raise KefuCallError.of(error) from error
"""

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import Delta
from kefu.chat.v1.question_pb2 import Part, Question
from kefu.media.v1.picture_pb2 import PictureReport
from kefu_client.channel import DEFAULT_ADDRESS, MESSAGE_BYTES, Tls, channel_options
from kefu_client.client import Health, KefuClient
from kefu_client.errors import InputError, KefuCallError
from kefu_client.question import Settings, picture, question
from kefu_client.stream import AnswerStream, Event

__all__ = [
    "DEFAULT_ADDRESS",
    "MESSAGE_BYTES",
    "Answer",
    "AnswerStream",
    "Delta",
    "Event",
    "Health",
    "InputError",
    "KefuCallError",
    "KefuClient",
    "Part",
    "PictureReport",
    "Question",
    "Settings",
    "Tls",
    "channel_options",
    "picture",
    "question",
]
