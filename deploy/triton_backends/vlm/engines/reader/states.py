"""Yes or no: what the page says about a state that the customer asks for.

>>> judge("Is this invoice paid?", ["Payment status: Unpaid"])
Verdict(yes=False, row=0)

A small model answers "Is it paid?" with "Yes" when the page says "Unpaid": the words are alike.  So a yes or a no is
never left to it: the state is looked up in the rows, and where the rows do not have it, the answer says neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engines.reader.text import is_chinese, normal, overlap, terms, weights

_ASKS_EN = re.compile(
    r"^(?:(?:hi|hello|hey|please|so|and|but|ok|okay|then|now|well)[,!. ]+)*"
    r"(?:is|are|was|were|am|has|have|had|does|do|did|can|could|will|would|should|may)(?:n't)?\b",
    re.IGNORECASE,
)
_ASKS_ZH = re.compile(r"(吗|么|没有|了没|没|不)\s*[？?。.!！]*\s*$|是否|是不是|有没有|能不能|可不可以|会不会|对不对|要不要|[成付到退完通发]\w{0,2}没[成付到退完通发]")
_EXISTS = re.compile(r"^(?:is|are) there\b|有没有|有.{0,12}吗", re.IGNORECASE)
_NEGATED_EN = re.compile(r"\b(?:isn't|aren't|not|hasn't|haven't|never|n't)\b", re.IGNORECASE)

# Opposite states, each side by the words that pages print.  The left side is what a customer hopes for.
# Longer words are looked for first, and what matched is taken out, so that 未支付 is not read as 支付.
_STATES: tuple[tuple[str, str], ...] = (
    (
        r"\b(?:fully )?paid\b(?! by)|payment (?:successful|completed?|received)|\bsettled\b|已付款|已支付|支付成功|付款成功|已付清|已结清|已缴",
        r"\bunpaid\b|\bnot (?:yet )?(?:been )?paid\b|\boverdue\b|payment (?:pending|failed|due|declined)|待付款|未付款|待支付|未支付|未付|支付失败|付款失败|已欠费|未缴|待缴",
    ),
    (
        r"\bdelivered\b(?! by)|\bcollected\b|\bpicked up\b|已送达|已签收|已妥投|派送成功|已取件|已到货",
        r"\b(?:undelivered|not (?:yet )?(?:been )?(?:delivered|collected))\b|delivery (?:failed|attempt|exception)|\bin transit\b|out for delivery|派送失败|投递失败|未送达|未签收|运输中|派送中|待取件|待揽收|等待.{0,4}揽收|已拒收|配送中|待收货",
    ),
    (
        r"\bshipped\b|\bdispatched\b|已发货|已出库|已寄出",
        r"\bnot (?:yet )?(?:been )?(?:shipped|dispatched)\b|\bunshipped\b|awaiting (?:shipment|dispatch)|\bpreparing\b|待发货|未发货|备货中|已打包|等待.{0,4}揽收|待揽收",
    ),
    (
        r"\brefunded\b|refund (?:completed?|successful|issued|approved)|退款成功|已退款|退款完成|退款已到账",
        r"\bnot (?:been )?refunded\b|refund (?:rejected|denied|declined|failed|pending|refused)|退款失败|退款中|未退款|退款.{0,6}拒绝|拒绝退款|待退款",
    ),
    (
        r"\bapproved\b|\baccepted\b|\bpassed\b|审核通过|已通过|审批通过|已同意|已批准",
        r"\b(?:rejected|declined|denied|refused|disapproved|not approved|not accepted)\b|(?<!no )\bpending (?:review|approval)|审核.{0,6}拒绝|已拒绝|未通过|不通过|已驳回|审核失败|审核中|待审核|拒绝(?!原因)",
    ),
    (
        r"\b(?:successful(?:ly)?|succeeded|completed?|finished|done|resolved|fixed)\b|成功|已完成|已修复|已解决|已办结",
        r"\b(?:unsuccessful|failed|failure|incomplete|unfinished|not (?:completed?|finished|done|resolved)|unresolved|in progress)\b|失败|未成功|未完成|进行中|处理中|未解决|未修复",
    ),
    (
        r"\b(?:valid|active|in force|not expired|covered|in warranty)\b|有效(?!期)|可用|未过期|使用中|生效中|保修中|在保",
        r"\b(?:expired|invalid|inactive|void|out of warranty|not valid|not covered)\b|已过期|已失效|无效|不可用|未生效|过保|已停用",
    ),
    (
        r"\bconnected\b|\bonline\b|已连接|在线|已联网",
        r"\b(?:disconnected|not connected|offline|no (?:internet )?connection|unplugged)\b|未连接|离线|断开|已断网|无网络|未联网",
    ),
    (r"\b(?:on|enabled)\b|已开启|已启用|已打开", r"\b(?:off|disabled)\b|已关闭|未开启|未启用|已禁用"),
    (
        r"\b(?:confirmed|booked|reserved)\b|已确认|预订成功|预约成功",
        r"\b(?:unconfirmed|not confirmed|awaiting confirmation)\b|未确认|待确认|预订失败|预约失败",
    ),
    (
        r"\bcancel(?:l)?ed\b|已取消|已撤销|取消成功",
        r"\bnot cancel(?:l)?ed\b|未取消|取消失败",
    ),
    (
        r"\b(?:in stock|available)\b|有货|现货|可购买",
        r"\b(?:out of stock|sold out|unavailable|not available)\b|无货|缺货|售罄|已下架",
    ),
    (
        r"\b(?:included|free of charge|complimentary)\b|已包含|包含|免费|包邮",
        r"\b(?:excluded|not included|extra charge)\b|不含|未包含|另收|不包邮",
    ),
    (
        r"\b(?:received|arrived|credited)\b|已到账|已收到|已入账",
        r"\b(?:not (?:yet )?(?:been )?(?:received|arrived|credited))\b|未到账|未收到|未入账|待到账",
    ),
    (r"\b(?:verified|authenticated)\b|已认证|已验证|已实名", r"\b(?:unverified|not verified)\b|未认证|未验证|未实名"),
)
# What a question asks about, by the bare word: 到账了吗 has neither 已 nor 未.
_TOPICS: tuple[str, ...] = (
    r"\b(?:un)?paid\b|\bsettled\b|付款|支付|付了|付清|缴费|付钱",
    r"\bdelivered\b|\bcollected\b|送达|送到|签收|派送|妥投|到货|取件|收货",
    r"\bshipped\b|\bdispatched\b|\bsent\b|发货|寄出|出库|发出",
    r"\brefund(?:ed)?\b|退款|退钱|退了",
    r"\b(?:approved|accepted|rejected|passed|declined|denied)\b|通过|批准|同意|审核|拒绝|驳回",
    r"\b(?:success\w*|succeed\w*|complete[d]?|finished|done|resolved|fixed|fail(?:ed)?|work(?:ed)?|go(?:ne)? through)\b|成功|完成|失败|修好|解决|修复",
    r"\b(?:valid|active|expired|usable|use)\b|过期|有效|可用|失效|还能用|能用",
    r"\b(?:connected|connection|online|offline|internet)\b|联网|连接|断网|在线|有网",
    r"\b(?:on|off|enabled|disabled)\b|开启|启用|打开|关闭|开着",
    r"\b(?:confirmed|booked|reserved)\b|确认|预订|预约",
    r"\bcancel(?:l)?ed\b|取消|撤销",
    r"\b(?:in stock|available|sold out|out of stock)\b|有货|现货|缺货|库存",
    r"\b(?:included|free|include)\b|包含|包括|免费|包邮",
    r"\b(?:received|arrived|credited)\b|到账|收到|入账",
    r"\b(?:verified|authenticated)\b|认证|验证|实名",
)
# A question about the bad side is answered the other way round: "Is it expired?", 过期了吗, 失败了吗.
_ASKS_BAD = re.compile(
    r"\b(?:unpaid|overdue|expired|rejected|declined|denied|fail(?:ed)?|offline|off|disabled|sold out|out of stock|excluded|invalid)\b"
    r"|过期|失效|失败|拒绝|驳回|断网|离线|关闭|缺货|售罄|欠费",
    re.IGNORECASE,
)
_YES = re.compile(r"^\W*(?:yes|yeah|yep|correct|sure|是的?|有的?|对|可以|能|会|已经|已|成功)(?:\b|[，,。.！!：: ]|$|了)", re.IGNORECASE)
_NO = re.compile(r"^\W*(?:no|nope|not|否|不是?|没有?|未|尚未|还没|不能|不可以|不会)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """yes: the answer to the question as it was asked; row: index of the row that says so."""

    yes: bool
    row: int


def is_yes_no(question: str) -> bool:
    text = normal(question).strip()
    if is_chinese(text):
        return _ASKS_ZH.search(text) is not None
    return _ASKS_EN.search(text.splitlines()[-1].strip()) is not None if text else False


def asks_existence(question: str) -> bool:
    """`Is there a phone number?`: answered by naming the thing, not by a state."""
    return _EXISTS.search(normal(question).strip()) is not None


def judge(question: str, rows: Sequence[str]) -> Verdict | None:
    """The state that the rows give, if they give exactly one; None where the rows are silent or disagree."""
    asked = normal(question)
    wants_bad = _ASKS_BAD.search(asked) is not None
    if _NEGATED_EN.search(asked) or re.search(r"没(?!有?\s*[？?。]?\s*$)|未|不(?!是)", asked.rstrip("？?吗么 ")):
        # "Isn't it paid?" and 还没发货吗 say yes or no to either side in different languages: not for a table.
        return None
    for index, topic in enumerate(_TOPICS):
        if re.search(topic, asked, re.IGNORECASE):
            verdict = _look_up(asked, rows, *_STATES[index])
            if verdict is not None:
                return Verdict(verdict.yes != wants_bad, verdict.row)
    return None


def _look_up(asked: str, rows: Sequence[str], good: str, bad: str) -> Verdict | None:
    found: list[tuple[float, bool, int]] = []
    weight = weights(rows)
    about = terms(asked)
    for index, row in enumerate(rows):
        text = normal(row)
        is_bad = re.search(bad, text, re.IGNORECASE) is not None
        rest = re.sub(bad, " ", text, flags=re.IGNORECASE)
        is_good = re.search(good, rest, re.IGNORECASE) is not None
        if is_bad != is_good:
            found.append((overlap(about, terms(row), weight), is_good, index))
    if not found:
        return None
    best = max(score for score, _, _ in found)
    near = [(good_side, index) for score, good_side, index in found if score >= best - 1e-9]
    if len({side for side, _ in near}) > 1:
        return None
    return Verdict(near[0][0], near[0][1])


def polarity(answer: str) -> bool | None:
    """True for an answer that begins with a yes, False for a no, None for neither."""
    text = normal(answer)
    if _NO.search(text):
        return False
    return True if _YES.search(text) else None
