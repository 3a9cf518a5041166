"""Asks Kefu about pictures. Needs grpcio and protobuf alone.

    from kefu_client import KefuClient, picture

    with KefuClient("127.0.0.1:50051") as kefu:
        answer = kefu.ask("为什么被拒?", picture("refund.png"))
        print(answer.text, answer.confidence.score)

        with kefu.stream("How much did I pay?", picture("order.png")) as stream:
            for piece in stream.text():
                print(piece, end="", flush=True)
        print(stream.answer.usage.completion_tokens)

        kefu.ask("多少钱?", picture("order.png"), session_id="c-17")
        kefu.ask("这张呢?", picture("order2.png"), session_id="c-17")  # knows the first one
        for turn in kefu.turns("c-17"):
            print(turn.number, turn.answer.text)

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
from kefu.chat.v1.session_service_pb2 import Session, Turn
from kefu.media.v1.media_service_pb2 import UploadStatus
from kefu.media.v1.picture_pb2 import PictureReport
from kefu_client.channel import DEFAULT_ADDRESS, MESSAGE_BYTES, Tls, channel_options
from kefu_client.client import Health, KefuClient
from kefu_client.conversation import Conversation, News
from kefu_client.errors import InputError, KefuCallError
from kefu_client.question import Settings, picture, question, uploaded
from kefu_client.stream import AnswerStream, Event, Interrupted

__all__ = [
    "DEFAULT_ADDRESS",
    "MESSAGE_BYTES",
    "Answer",
    "AnswerStream",
    "Conversation",
    "Delta",
    "Event",
    "Health",
    "InputError",
    "Interrupted",
    "KefuCallError",
    "KefuClient",
    "News",
    "Part",
    "PictureReport",
    "Question",
    "Session",
    "Settings",
    "Tls",
    "Turn",
    "UploadStatus",
    "channel_options",
    "picture",
    "question",
    "uploaded",
]
