"""The pages themselves. Every shop, person, number and address on them is invented."""

from __future__ import annotations

from collections.abc import Callable

from samples.bars import home_bar, island_status, plain_status, three_buttons
from samples.canvas import MARGIN, PADDING, WIDTH, Fonts, Screen, Theme

_LEFT = MARGIN + PADDING
_RIGHT = WIDTH - MARGIN - PADDING
_GREEN = Theme("#f2f5f1", "#ffffff", "#1b241d", "#77827a", "#1c7c4a")
_RED = Theme("#f6f4f4", "#ffffff", "#262020", "#857b7b", "#c8322b")
_DARK = Theme("#12161c", "#1e242d", "#eef2f6", "#94a1b0", "#ff7a59")
_BLUE = Theme("#eef2f8", "#ffffff", "#18212e", "#6d7a8c", "#1f5fbf")
_PAPER = Theme("#f7f6f2", "#ffffff", "#22201b", "#807b70", "#a8541a")


def order(fonts: Fonts) -> Screen:
    """An order that waits to be picked up (Chinese)."""
    page = Screen(fonts, _GREEN, 2340)
    island_status(page, "14:26", 72)
    page.title("订单详情")
    page.block(0, page.y, WIDTH, 230, _GREEN.accent)
    page.text(_LEFT, page.y + 74, "待取件", 60, "#ffffff", bold=True)
    page.text(_LEFT, page.y + 160, "包裹已到平江路服务点，取件码 8-3-2047", 40, "#e2f3e9")
    page.y += 262
    top = page.card(170)
    page.text(_LEFT, top + 56, "周雅婷 159****3380", 42, bold=True)
    page.text(_LEFT, top + 120, "江苏省苏州市姑苏区临顿路218号", 36, _GREEN.faint)
    top = page.card(440)
    page.text(_LEFT, top + 58, "山岚茶铺", 44, bold=True)
    for number, (name, note, price, tint) in enumerate(
        (
            ("明前龙井 250克", "数量 x2", "¥168.00", "#cfe3c4"),
            ("白瓷盖碗", "数量 x1", "¥76.00", "#dfe4e8"),
        )
    ):
        y = top + 110 + number * 160
        page.block(_LEFT, y, 136, 136, tint, radius=16)
        page.text(_LEFT + 170, y + 42, name, 40)
        page.text(_LEFT + 170, y + 100, note, 34, _GREEN.faint)
        page.text(_RIGHT, y + 42, price, 40, anchor="rm")
    page.rows(
        [("商品金额", "¥412.00"), ("运费", "¥8.00"), ("会员折扣", "-¥41.20"), ("实付", "¥378.80")],
        strong="实付",
    )
    page.rows(
        [
            ("订单号", "7720318644590217"),
            ("下单时间", "2026-03-11 21:07:45"),
            ("快递", "飞燕快运 FY60428817395"),
            ("支付方式", "银行卡"),
        ]
    )
    page.button(WIDTH - MARGIN - 300, 2180, 300, "确认收货", _GREEN.accent, "#ffffff")
    page.button(WIDTH - MARGIN - 630, 2180, 300, "联系商家", "#e1e7e2", _GREEN.ink)
    home_bar(page)
    return page


def refund(fonts: Fonts) -> Screen:
    """A refund that was refused, and why (Chinese)."""
    page = Screen(fonts, _RED, 2400)
    plain_status(page, "20:13", 45)
    page.title("售后详情")
    top = page.card(330)
    page.text(_LEFT, top + 80, "退款申请未通过", 60, _RED.accent, bold=True)
    page.text(_LEFT, top + 174, "商品已拆封使用，不符合七天无理由退货条件", 40)
    page.text(_LEFT, top + 244, "如有异议，请在 2026-03-22 18:00 前申诉", 38, _RED.faint)
    top = page.card(220)
    page.block(_LEFT, top + 36, 148, 148, "#f2d6c9", radius=16)
    page.text(_LEFT + 184, top + 76, "便携榨汁杯 350毫升 珊瑚色", 40)
    page.text(_LEFT + 184, top + 146, "数量 x1", 34, _RED.faint)
    page.rows(
        [
            ("退款金额", "¥259.00"),
            ("申请原因", "效果不好"),
            ("售后类型", "退货退款"),
            ("申请时间", "2026-03-18 09:41:06"),
            ("售后单号", "RF202603180457"),
            ("订单号", "3391750286614408"),
        ],
        strong="退款金额",
        title="申请信息",
    )
    top = page.card(380)
    page.text(_LEFT, top + 62, "处理记录", 44, bold=True)
    for number, (when, what) in enumerate(
        (
            ("03-19 16:20", "商家拒绝了退款申请"),
            ("03-18 10:02", "商家正在处理"),
            ("03-18 09:41", "买家提交了申请"),
        )
    ):
        y = top + 140 + number * 82
        page.block(_LEFT, y - 9, 18, 18, _RED.accent if number == 0 else "#d8d0d0", radius=9)
        page.text(_LEFT + 48, y, when, 36, _RED.faint)
        page.text(_LEFT + 320, y, what, 38)
    page.button(MARGIN, 2110, 490, "撤销申请", "#e9e4e4", _RED.ink)
    page.button(WIDTH - MARGIN - 490, 2110, 490, "申请平台介入", _RED.accent, "#ffffff")
    three_buttons(page)
    return page


def router(fonts: Fonts) -> Screen:
    """A router that is offline, in dark mode (English)."""
    page = Screen(fonts, _DARK, 2340)
    island_status(page, "7:58", 91)
    page.title("Internet")
    top = page.card(400)
    page.text(WIDTH // 2, top + 100, "Not connected", 68, bold=True, anchor="mm")
    page.text(WIDTH // 2, top + 206, "Error E-651", 56, _DARK.accent, bold=True, anchor="mm")
    page.text(
        WIDTH // 2, top + 300, "Your provider refused the sign-in", 40, _DARK.faint, anchor="mm"
    )
    page.rows(
        [
            ("Network name", "Harbour-5G"),
            ("Model", "NX-2400"),
            ("Firmware", "3.8.12"),
            ("Connection type", "PPPoE"),
            ("WAN address", "none"),
            ("Last online", "Mar 14, 2026 22:41"),
            ("Serial number", "HX7K-90321-4486"),
        ]
    )
    top = page.card(400)
    page.text(_LEFT, top + 66, "What you can do", 44, bold=True)
    for number, words in enumerate(
        (
            "1. Check the user name and password of your line",
            "2. Switch the modem off for 30 seconds",
            "3. Call support at 0800 555 0177",
        )
    ):
        page.text(_LEFT, top + 152 + number * 84, words, 38)
    page.button(MARGIN, 2060, WIDTH - 2 * MARGIN, "Try again", "#3d7bfd", "#ffffff", height=120)
    home_bar(page)
    return page


def parcel(fonts: Fonts) -> Screen:
    """A parcel on its way (English)."""
    page = Screen(fonts, _BLUE, 2400)
    plain_status(page, "11:05", 63)
    page.title("Track parcel")
    top = page.card(300)
    page.text(_LEFT, top + 84, "Out for delivery", 60, _BLUE.accent, bold=True)
    page.text(_LEFT, top + 172, "Arriving today between 16:30 and 18:30", 40)
    page.block(_LEFT, top + 232, WIDTH - 2 * _LEFT, 16, "#d9e2ef", radius=8)
    page.block(_LEFT, top + 232, (WIDTH - 2 * _LEFT) * 3 // 4, 16, _BLUE.accent, radius=8)
    page.rows(
        [
            ("Tracking number", "NW447190823556"),
            ("Weight", "2.4 kg"),
            ("Parcels", "1 of 1"),
            ("Sender", "Oakfield Books"),
            ("Recipient", "D. Marsh, 14 Quay Street"),
            ("Cash on delivery", "£36.50"),
        ],
        strong="Cash on delivery",
    )
    top = page.card(590)
    page.text(_LEFT, top + 66, "History", 44, bold=True)
    events = (
        ("Mar 16  08:12", "With the driver, van 27"),
        ("Mar 16  05:40", "Arrived at depot Millbrook"),
        ("Mar 15  19:26", "Left sorting centre Ashby"),
        ("Mar 15  14:03", "Collected from the sender"),
    )
    page.block(_LEFT + 7, top + 150, 4, (len(events) - 1) * 108, "#c9d4e3")
    for number, (when, what) in enumerate(events):
        y = top + 150 + number * 108
        page.block(_LEFT, y - 9, 18, 18, _BLUE.accent if number == 0 else "#a9b8cc", radius=9)
        page.text(_LEFT + 48, y, when, 36, _BLUE.faint)
        page.text(_LEFT + 360, y, what, 38)
    page.button(MARGIN, 2020, WIDTH - 2 * MARGIN, "Leave with a neighbour", "#1f5fbf", "#ffffff")
    three_buttons(page)
    return page


def invoice(fonts: Fonts) -> Screen:
    """An invoice that is not paid yet (English)."""
    page = Screen(fonts, _PAPER, 2340)
    island_status(page, "16:47", 38)
    page.title("Invoice")
    top = page.card(290)
    page.text(_LEFT, top + 76, "INV-2026-00731", 56, bold=True)
    page.text(_LEFT, top + 156, "Lindgren Garden Tools", 40)
    page.text(_LEFT, top + 220, "Issued March 2, 2026", 38, _PAPER.faint)
    page.block(_RIGHT - 230, top + 44, 230, 76, "#f6e3d3", radius=38)
    page.text(_RIGHT - 115, top + 82, "Unpaid", 38, _PAPER.accent, bold=True, anchor="mm")
    page.rows(
        [
            ("Hedge shears, 2 pieces", "€58.00"),
            ("Watering can, 9 litres", "€24.50"),
            ("Delivery", "€6.90"),
        ],
        title="Items",
    )
    page.rows([("Subtotal", "€89.40"), ("VAT 19%", "€16.99"), ("Total", "€106.39")], strong="Total")
    page.rows(
        [
            ("Due date", "March 30, 2026"),
            ("Customer number", "C-20854"),
            ("Bank reference", "7731 0042 6"),
            ("Billed to", "Ines Ferreira"),
        ]
    )
    page.button(MARGIN, 2110, WIDTH - 2 * MARGIN, "Pay now", _PAPER.accent, "#ffffff")
    home_bar(page)
    return page


PAGES: dict[str, Callable[[Fonts], Screen]] = {
    "order": order,
    "refund": refund,
    "router": router,
    "parcel": parcel,
    "invoice": invoice,
}
