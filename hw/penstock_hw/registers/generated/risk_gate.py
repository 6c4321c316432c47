"""Registers of risk_gate: generated, see `penstock_hw.registers`; change rtl/regs/risk_gate.rdl."""

# fmt: off

from penstock_hw.registers.model import Block, Field, Kind, Register

ID = 0x47415445  # GATE
VERSION = 1
LAYOUT_HASH = 0x6ac89911

SLOTS = 0x010  # r, 32 bits
SLOTS_MASK = 0xffffffff
INTERVALS = 0x014  # r, 32 bits
INTERVALS_MASK = 0xffffffff
LINKS = 0x018  # r, 32 bits
LINKS_MASK = 0xffffffff
PRICE_BITS = 0x01c  # r, 32 bits
PRICE_BITS_MASK = 0xffffffff
QTY_BITS = 0x020  # r, 32 bits
QTY_BITS_MASK = 0xffffffff
NOTIONAL_BITS = 0x024  # r, 32 bits
NOTIONAL_BITS_MASK = 0xffffffff
KW_BITS = 0x028  # r, 32 bits
KW_BITS_MASK = 0xffffffff
KW_PER_LOT_BITS = 0x02c  # r, 32 bits
KW_PER_LOT_BITS_MASK = 0xffffffff
SEEN_SETS = 0x030  # r, 32 bits
SEEN_SETS_MASK = 0xffffffff
SEEN_WAYS = 0x034  # r, 32 bits
SEEN_WAYS_MASK = 0xffffffff
KILL = 0x038  # rw, 32 bits
KILL_MASK = 0x1
KILL_RESET = 1
PAUSED = 0x03c  # rw, 32 bits
PAUSED_MASK = 0x1
PAUSED_RESET = 0
LISTING_INDEX = 0x040  # rw, 32 bits
LISTING_INDEX_MASK = 0xffff
LISTING_INDEX_RESET = 0
LISTING_STATE = 0x044  # rw, 32 bits
LISTING_STATE_MASK = 0x3
LISTING_STATE_RESET = 0
LISTING_QTY_MIN_LOTS = 0x048  # rw, 32 bits
LISTING_QTY_MIN_LOTS_MASK = 0xffffffff
LISTING_QTY_MIN_LOTS_RESET = 0
LISTING_QTY_MAX_LOTS = 0x04c  # rw, 32 bits
LISTING_QTY_MAX_LOTS_MASK = 0xffffffff
LISTING_QTY_MAX_LOTS_RESET = 0
LISTING_COLLAR_TICKS = 0x050  # rw, 64 bits
LISTING_COLLAR_TICKS_MASK = 0xffffffffffffffff
LISTING_COLLAR_TICKS_RESET = 0
LISTING_COLLAR_UNLIMITED = 0x058  # rw, 32 bits
LISTING_COLLAR_UNLIMITED_MASK = 0x1
LISTING_COLLAR_UNLIMITED_RESET = 0
LISTING_HAS_FLOOR = 0x05c  # rw, 32 bits
LISTING_HAS_FLOOR_MASK = 0x1
LISTING_HAS_FLOOR_RESET = 0
LISTING_FLOOR_TICKS = 0x060  # rw, 32 bits
LISTING_FLOOR_TICKS_MASK = 0xffffffff
LISTING_FLOOR_TICKS_RESET = 0
LISTING_HAS_CAP = 0x064  # rw, 32 bits
LISTING_HAS_CAP_MASK = 0x1
LISTING_HAS_CAP_RESET = 0
LISTING_CAP_TICKS = 0x068  # rw, 32 bits
LISTING_CAP_TICKS_MASK = 0xffffffff
LISTING_CAP_TICKS_RESET = 0
LISTING_HAS_NOTIONAL = 0x06c  # rw, 32 bits
LISTING_HAS_NOTIONAL_MASK = 0x1
LISTING_HAS_NOTIONAL_RESET = 0
LISTING_NOTIONAL_MAX_PER_MINUTE = 0x070  # rw, 64 bits
LISTING_NOTIONAL_MAX_PER_MINUTE_MASK = 0xffffffffffffffff
LISTING_NOTIONAL_MAX_PER_MINUTE_RESET = 0
LISTING_KW_PER_LOT = 0x078  # rw, 32 bits
LISTING_KW_PER_LOT_MASK = 0xffffffff
LISTING_KW_PER_LOT_RESET = 0
LISTING_REF_REQUIRED = 0x07c  # rw, 32 bits
LISTING_REF_REQUIRED_MASK = 0x1
LISTING_REF_REQUIRED_RESET = 0
LISTING_REF_AGE_UNLIMITED = 0x080  # rw, 32 bits
LISTING_REF_AGE_UNLIMITED_MASK = 0x1
LISTING_REF_AGE_UNLIMITED_RESET = 0
LISTING_REF_AGE_MAX_NS = 0x088  # rw, 64 bits
LISTING_REF_AGE_MAX_NS_MASK = 0xffffffffffffffff
LISTING_REF_AGE_MAX_NS_RESET = 0
LISTING_FIRST_INTERVAL = 0x090  # rw, 32 bits
LISTING_FIRST_INTERVAL_MASK = 0xffff
LISTING_FIRST_INTERVAL_RESET = 0
LISTING_LINK = 0x094  # rw, 32 bits
LISTING_LINK_MASK = 0xffff
LISTING_LINK_RESET = 0
LISTING_INTERVAL_COUNT = 0x098  # rw, 32 bits
LISTING_INTERVAL_COUNT_MASK = 0xffff
LISTING_INTERVAL_COUNT_RESET = 0
LISTING = 0x09c  # pulse, 32 bits
LISTING_MASK = 0x1
LINK_INDEX = 0x0a0  # rw, 32 bits
LINK_INDEX_MASK = 0xffff
LINK_INDEX_RESET = 0
LINK_INTERVAL = 0x0a4  # rw, 32 bits
LINK_INTERVAL_MASK = 0xffff
LINK_INTERVAL_RESET = 0
LINK = 0x0a8  # pulse, 32 bits
LINK_MASK = 0x1
INTERVAL_INDEX = 0x0ac  # rw, 32 bits
INTERVAL_INDEX_MASK = 0xffff
INTERVAL_INDEX_RESET = 0
INTERVAL_LONG_MAX_KW = 0x0b0  # rw, 32 bits
INTERVAL_LONG_MAX_KW_MASK = 0xffffffff
INTERVAL_LONG_MAX_KW_RESET = 0
INTERVAL_SHORT_MAX_KW = 0x0b4  # rw, 32 bits
INTERVAL_SHORT_MAX_KW_MASK = 0xffffffff
INTERVAL_SHORT_MAX_KW_RESET = 0
INTERVAL_NET_KW = 0x0b8  # rw, 32 bits
INTERVAL_NET_KW_MASK = 0xffffffff
INTERVAL_NET_KW_RESET = 0
INTERVAL_BUY_WORKING_KW = 0x0bc  # rw, 32 bits
INTERVAL_BUY_WORKING_KW_MASK = 0xffffffff
INTERVAL_BUY_WORKING_KW_RESET = 0
INTERVAL_SELL_WORKING_KW = 0x0c0  # rw, 32 bits
INTERVAL_SELL_WORKING_KW_MASK = 0xffffffff
INTERVAL_SELL_WORKING_KW_RESET = 0
INTERVAL = 0x0c4  # pulse, 32 bits
INTERVAL_LIMIT_WRITE_MASK = 0x1
INTERVAL_EXPOSURE_WRITE_MASK = 0x2
INTERVAL_READ_MASK = 0x4
INTERVAL_STORED_LONG_MAX_KW = 0x0c8  # r, 32 bits
INTERVAL_STORED_LONG_MAX_KW_MASK = 0xffffffff
INTERVAL_STORED_SHORT_MAX_KW = 0x0cc  # r, 32 bits
INTERVAL_STORED_SHORT_MAX_KW_MASK = 0xffffffff
INTERVAL_STORED_NET_KW = 0x0d0  # r, 32 bits
INTERVAL_STORED_NET_KW_MASK = 0xffffffff
INTERVAL_STORED_BUY_WORKING_KW = 0x0d4  # r, 32 bits
INTERVAL_STORED_BUY_WORKING_KW_MASK = 0xffffffff
INTERVAL_STORED_SELL_WORKING_KW = 0x0d8  # r, 32 bits
INTERVAL_STORED_SELL_WORKING_KW_MASK = 0xffffffff
RATE_NS_PER_MESSAGE = 0x0e0  # rw, 64 bits
RATE_NS_PER_MESSAGE_MASK = 0xffffffffffffffff
RATE_NS_PER_MESSAGE_RESET = 1
RATE_WINDOW_NS = 0x0e8  # rw, 64 bits
RATE_WINDOW_NS_MASK = 0xffffffffffffffff
RATE_WINDOW_NS_RESET = 0
RATE_NONE = 0x0f0  # rw, 32 bits
RATE_NONE_MASK = 0x1
RATE_NONE_RESET = 1
RATE_UNLIMITED = 0x0f4  # rw, 32 bits
RATE_UNLIMITED_MASK = 0x1
RATE_UNLIMITED_RESET = 0
RATE_EMPTY_NS = 0x0f8  # rw, 64 bits
RATE_EMPTY_NS_MASK = 0xffffffffffffffff
RATE_EMPTY_NS_RESET = 0
RATE = 0x100  # pulse, 32 bits
RATE_WRITE_MASK = 0x1
RATE_EMPTY_WRITE_MASK = 0x2
RATE_STORED_EMPTY_NS = 0x108  # r, 64 bits
RATE_STORED_EMPTY_NS_MASK = 0xffffffffffffffff
REFERENCE_INDEX = 0x110  # rw, 32 bits
REFERENCE_INDEX_MASK = 0xffff
REFERENCE_INDEX_RESET = 0
REFERENCE_HAS_PRICE = 0x114  # rw, 32 bits
REFERENCE_HAS_PRICE_MASK = 0x1
REFERENCE_HAS_PRICE_RESET = 0
REFERENCE_PRICE_TICKS = 0x118  # rw, 32 bits
REFERENCE_PRICE_TICKS_MASK = 0xffffffff
REFERENCE_PRICE_TICKS_RESET = 0
REFERENCE_AT_NS = 0x120  # rw, 64 bits
REFERENCE_AT_NS_MASK = 0xffffffffffffffff
REFERENCE_AT_NS_RESET = 0
REFERENCE = 0x128  # pulse, 32 bits
REFERENCE_MASK = 0x1
COUNT_INDEX = 0x12c  # rw, 32 bits
COUNT_INDEX_MASK = 0x3f
COUNT_INDEX_RESET = 0
COUNT = 0x130  # r, 32 bits
COUNT_MASK = 0xffffffff

BLOCK = Block(
    'risk_gate', ID, VERSION, {
        'SLOTS': 256,
        'INTERVALS': 1024,
        'LINKS': 2048,
        'PRICE_W': 32,
        'QTY_W': 24,
        'NOTIONAL_W': 56,
        'KW_W': 32,
        'KW_LIMIT_W': 31,
        'KW_PER_LOT_W': 16,
        'SEEN_SETS': 256,
        'SEEN_WAYS': 4,
        'COUNT_W': 32,
    }, (
        Register('slots', 0x010, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='SLOTS'),
        )),
        Register('intervals', 0x014, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='INTERVALS'),
        )),
        Register('links', 0x018, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='LINKS'),
        )),
        Register('price_bits', 0x01c, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='PRICE_W'),
        )),
        Register('qty_bits', 0x020, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='QTY_W'),
        )),
        Register('notional_bits', 0x024, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='NOTIONAL_W'),
        )),
        Register('kw_bits', 0x028, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='KW_W'),
        )),
        Register('kw_per_lot_bits', 0x02c, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='KW_PER_LOT_W'),
        )),
        Register('seen_sets', 0x030, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='SEEN_SETS'),
        )),
        Register('seen_ways', 0x034, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='SEEN_WAYS'),
        )),
        Register('kill', 0x038, 32, (
            Field('kill', 0, 1, Kind.CONFIG, 'cfg_kill', True, True, reset=1),
        )),
        Register('paused', 0x03c, 32, (
            Field('paused', 0, 1, Kind.CONFIG, 'cfg_paused', True, True),
        )),
        Register('listing_index', 0x040, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_listing_index', True, True, below='SLOTS'),
        )),
        Register('listing_state', 0x044, 32, (
            Field('value', 0, 2, Kind.CONFIG, 'cfg_listing_state', True, True, below='3'),
        )),
        Register('listing_qty_min_lots', 0x048, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_listing_qty_min_lots', True, True, bits='QTY_W'),
        )),
        Register('listing_qty_max_lots', 0x04c, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_listing_qty_max_lots', True, True, bits='QTY_W'),
        )),
        Register('listing_collar_ticks', 0x050, 64, (
            Field('value', 0, 64, Kind.CONFIG, 'cfg_listing_collar_ticks', True, True, bits='PRICE_W'),
        )),
        Register('listing_collar_unlimited', 0x058, 32, (
            Field('value', 0, 1, Kind.CONFIG, 'cfg_listing_collar_unlimited', True, True),
        )),
        Register('listing_has_floor', 0x05c, 32, (
            Field('value', 0, 1, Kind.CONFIG, 'cfg_listing_has_floor', True, True),
        )),
        Register('listing_floor_ticks', 0x060, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_listing_floor_ticks', True, True, signed=True, bits='PRICE_W'),
        )),
        Register('listing_has_cap', 0x064, 32, (
            Field('value', 0, 1, Kind.CONFIG, 'cfg_listing_has_cap', True, True),
        )),
        Register('listing_cap_ticks', 0x068, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_listing_cap_ticks', True, True, signed=True, bits='PRICE_W'),
        )),
        Register('listing_has_notional', 0x06c, 32, (
            Field('value', 0, 1, Kind.CONFIG, 'cfg_listing_has_notional', True, True),
        )),
        Register('listing_notional_max_per_minute', 0x070, 64, (
            Field('value', 0, 64, Kind.CONFIG, 'cfg_listing_notional_max_per_minute', True, True, bits='NOTIONAL_W'),
        )),
        Register('listing_kw_per_lot', 0x078, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_listing_kw_per_lot', True, True, bits='KW_PER_LOT_W'),
        )),
        Register('listing_ref_required', 0x07c, 32, (
            Field('value', 0, 1, Kind.CONFIG, 'cfg_listing_ref_required', True, True),
        )),
        Register('listing_ref_age_unlimited', 0x080, 32, (
            Field('value', 0, 1, Kind.CONFIG, 'cfg_listing_ref_age_unlimited', True, True),
        )),
        Register('listing_ref_age_max_ns', 0x088, 64, (
            Field('value', 0, 64, Kind.CONFIG, 'cfg_listing_ref_age_max_ns', True, True, bits='63'),
        )),
        Register('listing_first_interval', 0x090, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_listing_first_interval', True, True, below='INTERVALS'),
        )),
        Register('listing_link', 0x094, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_listing_link', True, True, below='LINKS'),
        )),
        Register('listing_interval_count', 0x098, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_listing_interval_count', True, True, below='LINKS'),
        )),
        Register('listing', 0x09c, 32, (
            Field('write', 0, 1, Kind.PULSE, 'cfg_listing_write', False, True),
        )),
        Register('link_index', 0x0a0, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_link_index', True, True, below='LINKS'),
        )),
        Register('link_interval', 0x0a4, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_link_interval', True, True, below='INTERVALS'),
        )),
        Register('link', 0x0a8, 32, (
            Field('write', 0, 1, Kind.PULSE, 'cfg_link_write', False, True),
        )),
        Register('interval_index', 0x0ac, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_interval_index', True, True, below='INTERVALS'),
        )),
        Register('interval_long_max_kw', 0x0b0, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_interval_long_max_kw', True, True, bits='KW_LIMIT_W'),
        )),
        Register('interval_short_max_kw', 0x0b4, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_interval_short_max_kw', True, True, bits='KW_LIMIT_W'),
        )),
        Register('interval_net_kw', 0x0b8, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_interval_net_kw', True, True, signed=True, bits='KW_W'),
        )),
        Register('interval_buy_working_kw', 0x0bc, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_interval_buy_working_kw', True, True, bits='KW_LIMIT_W'),
        )),
        Register('interval_sell_working_kw', 0x0c0, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_interval_sell_working_kw', True, True, bits='KW_LIMIT_W'),
        )),
        Register('interval', 0x0c4, 32, (
            Field('limit_write', 0, 1, Kind.PULSE, 'cfg_interval_limit_write', False, True),
            Field('exposure_write', 1, 1, Kind.PULSE, 'cfg_interval_exposure_write', False, True),
            Field('read', 2, 1, Kind.PULSE, 'cfg_interval_read', False, True),
        )),
        Register('interval_stored_long_max_kw', 0x0c8, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_interval_stored_long_max_kw', True, False, bits='KW_LIMIT_W'),
        ), settles=True),
        Register('interval_stored_short_max_kw', 0x0cc, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_interval_stored_short_max_kw', True, False, bits='KW_LIMIT_W'),
        ), settles=True),
        Register('interval_stored_net_kw', 0x0d0, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_interval_stored_net_kw', True, False, signed=True, bits='KW_W'),
        ), settles=True),
        Register('interval_stored_buy_working_kw', 0x0d4, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_interval_stored_buy_working_kw', True, False, bits='KW_LIMIT_W'),
        ), settles=True),
        Register('interval_stored_sell_working_kw', 0x0d8, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_interval_stored_sell_working_kw', True, False, bits='KW_LIMIT_W'),
        ), settles=True),
        Register('rate_ns_per_message', 0x0e0, 64, (
            Field('value', 0, 64, Kind.CONFIG, 'cfg_rate_ns_per_message', True, True, reset=1, bits='63'),
        )),
        Register('rate_window_ns', 0x0e8, 64, (
            Field('value', 0, 64, Kind.CONFIG, 'cfg_rate_window_ns', True, True, bits='63'),
        )),
        Register('rate_none', 0x0f0, 32, (
            Field('value', 0, 1, Kind.CONFIG, 'cfg_rate_none', True, True, reset=1),
        )),
        Register('rate_unlimited', 0x0f4, 32, (
            Field('value', 0, 1, Kind.CONFIG, 'cfg_rate_unlimited', True, True),
        )),
        Register('rate_empty_ns', 0x0f8, 64, (
            Field('value', 0, 64, Kind.CONFIG, 'cfg_rate_empty_ns', True, True, bits='63'),
        )),
        Register('rate', 0x100, 32, (
            Field('write', 0, 1, Kind.PULSE, 'cfg_rate_write', False, True),
            Field('empty_write', 1, 1, Kind.PULSE, 'cfg_rate_empty_write', False, True),
        )),
        Register('rate_stored_empty_ns', 0x108, 64, (
            Field('value', 0, 64, Kind.STATUS, 'sts_rate_stored_empty_ns', True, False, bits='63'),
        )),
        Register('reference_index', 0x110, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_reference_index', True, True, below='SLOTS'),
        )),
        Register('reference_has_price', 0x114, 32, (
            Field('value', 0, 1, Kind.CONFIG, 'cfg_reference_has_price', True, True),
        )),
        Register('reference_price_ticks', 0x118, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_reference_price_ticks', True, True, signed=True, bits='PRICE_W'),
        )),
        Register('reference_at_ns', 0x120, 64, (
            Field('value', 0, 64, Kind.CONFIG, 'cfg_reference_at_ns', True, True, bits='63'),
        )),
        Register('reference', 0x128, 32, (
            Field('write', 0, 1, Kind.PULSE, 'cfg_reference_write', False, True),
        )),
        Register('count_index', 0x12c, 32, (
            Field('value', 0, 6, Kind.CONFIG, 'cfg_count_index', True, True),
        )),
        Register('count', 0x130, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_count', True, False, bits='COUNT_W'),
        )),
    ),
)
