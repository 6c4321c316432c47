"""Registers of trigger: generated, see `penstock_hw.registers`; change rtl/regs/trigger.rdl."""

# fmt: off

from penstock_hw.registers.model import Block, Field, Kind, Register

ID = 0x54524947  # TRIG
VERSION = 1
LAYOUT_HASH = 0x86642a3b

SLOTS = 0x010  # r, 32 bits
SLOTS_MASK = 0xffffffff
RULES = 0x014  # r, 32 bits
RULES_MASK = 0xffffffff
LANES = 0x018  # r, 32 bits
LANES_MASK = 0xffffffff
PRICE_BITS = 0x01c  # r, 32 bits
PRICE_BITS_MASK = 0xffffffff
LANE_INDEX = 0x020  # rw, 32 bits
LANE_INDEX_MASK = 0xffff
LANE_INDEX_RESET = 0
LANE_NUMBER = 0x024  # rw, 32 bits
LANE_NUMBER_MASK = 0x3
LANE_NUMBER_RESET = 0
LANE_KIND = 0x028  # rw, 32 bits
LANE_KIND_MASK = 0x7
LANE_KIND_RESET = 0
LANE_RULE = 0x02c  # rw, 32 bits
LANE_RULE_MASK = 0x3f
LANE_RULE_RESET = 0
LANE_OTHER = 0x030  # rw, 32 bits
LANE_OTHER_MASK = 0xffff
LANE_OTHER_RESET = 0
LANE_THRESHOLD_TICKS = 0x038  # rw, 64 bits
LANE_THRESHOLD_TICKS_MASK = 0xffffffffffffffff
LANE_THRESHOLD_TICKS_RESET = 0
LANE_ORDER_SLOT = 0x040  # rw, 32 bits
LANE_ORDER_SLOT_MASK = 0xffff
LANE_ORDER_SLOT_RESET = 0
LANE_SIDE = 0x044  # rw, 32 bits
LANE_SIDE_MASK = 0x3
LANE_SIDE_RESET = 0
LANE_PRICE_MODE = 0x048  # rw, 32 bits
LANE_PRICE_MODE_MASK = 0x1
LANE_PRICE_MODE_RESET = 0
LANE_PRICE_TICKS = 0x04c  # rw, 32 bits
LANE_PRICE_TICKS_MASK = 0xffffffff
LANE_PRICE_TICKS_RESET = 0
LANE_LOTS = 0x050  # rw, 32 bits
LANE_LOTS_MASK = 0xffffffff
LANE_LOTS_RESET = 0
LANE = 0x054  # pulse, 32 bits
LANE_MASK = 0x1
SLOT_INDEX = 0x058  # rw, 32 bits
SLOT_INDEX_MASK = 0xffff
SLOT_INDEX_RESET = 0
SLOT = 0x05c  # pulse, 32 bits
SLOT_MASK = 0x1
RULE_INDEX = 0x060  # rw, 32 bits
RULE_INDEX_MASK = 0x3f
RULE_INDEX_RESET = 0
ARM = 0x064  # pulse, 32 bits
ARM_MASK = 0x1
DISARM = 0x068  # pulse, 32 bits
DISARM_MASK = 0x1
DISARM_ALL = 0x06c  # pulse, 32 bits
DISARM_ALL_MASK = 0x1
INTENT_BASE = 0x070  # rw, 64 bits
INTENT_BASE_MASK = 0xffffffffffffffff
INTENT_BASE_RESET = 0
ARMED = 0x078  # r, 64 bits
ARMED_MASK = 0xffffffffffffffff
LAST_RULE = 0x080  # r, 32 bits
LAST_RULE_MASK = 0x3f
FIRED_COUNT = 0x088  # r, 64 bits
FIRED_COUNT_MASK = 0xffffffffffffffff
UNKNOWN_COUNT = 0x090  # r, 32 bits
UNKNOWN_COUNT_MASK = 0xffffffff
ABSENT_COUNT = 0x094  # r, 32 bits
ABSENT_COUNT_MASK = 0xffffffff
NO_ID_COUNT = 0x098  # r, 32 bits
NO_ID_COUNT_MASK = 0xffffffff
PASSED_OVER_COUNT = 0x09c  # r, 32 bits
PASSED_OVER_COUNT_MASK = 0xffffffff
REFUSED_COUNT = 0x0a0  # r, 32 bits
REFUSED_COUNT_MASK = 0xffffffff

BLOCK = Block(
    'trigger', ID, VERSION, {
        'SLOTS': 256,
        'RULES': 64,
        'LANES': 2,
        'PRICE_W': 32,
        'THRESHOLD_W': 33,
        'QTY_W': 24,
        'COUNT_W': 32,
    }, (
        Register('slots', 0x010, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='SLOTS'),
        )),
        Register('rules', 0x014, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='RULES'),
        )),
        Register('lanes', 0x018, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='LANES'),
        )),
        Register('price_bits', 0x01c, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='PRICE_W'),
        )),
        Register('lane_index', 0x020, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_lane_index', True, True, below='SLOTS'),
        )),
        Register('lane_number', 0x024, 32, (
            Field('value', 0, 2, Kind.CONFIG, 'cfg_lane_number', True, True, below='LANES'),
        )),
        Register('lane_kind', 0x028, 32, (
            Field('value', 0, 3, Kind.CONFIG, 'cfg_lane_kind', True, True, below='7'),
        )),
        Register('lane_rule', 0x02c, 32, (
            Field('value', 0, 6, Kind.CONFIG, 'cfg_lane_rule', True, True, below='RULES'),
        )),
        Register('lane_other', 0x030, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_lane_other', True, True, below='SLOTS'),
        )),
        Register('lane_threshold_ticks', 0x038, 64, (
            Field('value', 0, 64, Kind.CONFIG, 'cfg_lane_threshold_ticks', True, True, signed=True, bits='THRESHOLD_W'),
        )),
        Register('lane_order_slot', 0x040, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_lane_order_slot', True, True, below='SLOTS'),
        )),
        Register('lane_side', 0x044, 32, (
            Field('value', 0, 2, Kind.CONFIG, 'cfg_lane_side', True, True, below='3'),
        )),
        Register('lane_price_mode', 0x048, 32, (
            Field('value', 0, 1, Kind.CONFIG, 'cfg_lane_price_mode', True, True),
        )),
        Register('lane_price_ticks', 0x04c, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_lane_price_ticks', True, True, signed=True, bits='PRICE_W'),
        )),
        Register('lane_lots', 0x050, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_lane_lots', True, True, bits='QTY_W'),
        )),
        Register('lane', 0x054, 32, (
            Field('write', 0, 1, Kind.PULSE, 'cfg_lane_write', False, True),
        )),
        Register('slot_index', 0x058, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_slot_index', True, True, below='SLOTS'),
        )),
        Register('slot', 0x05c, 32, (
            Field('clear', 0, 1, Kind.PULSE, 'cfg_slot_clear', False, True),
        )),
        Register('rule_index', 0x060, 32, (
            Field('value', 0, 6, Kind.CONFIG, 'cfg_rule_index', True, True, below='RULES'),
        )),
        Register('arm', 0x064, 32, (
            Field('value', 0, 1, Kind.PULSE, 'cfg_arm', False, True),
        )),
        Register('disarm', 0x068, 32, (
            Field('value', 0, 1, Kind.PULSE, 'cfg_disarm', False, True),
        )),
        Register('disarm_all', 0x06c, 32, (
            Field('value', 0, 1, Kind.PULSE, 'cfg_disarm_all', False, True),
        )),
        Register('intent_base', 0x070, 64, (
            Field('value', 0, 64, Kind.CONFIG, 'cfg_intent_base', True, True, bits='64'),
        )),
        Register('armed', 0x078, 64, (
            Field('value', 0, 64, Kind.STATUS, 'sts_armed', True, False),
        )),
        Register('last_rule', 0x080, 32, (
            Field('value', 0, 6, Kind.STATUS, 'sts_last_rule', True, False, below='RULES'),
        )),
        Register('fired_count', 0x088, 64, (
            Field('value', 0, 64, Kind.STATUS, 'sts_fired_count', True, False),
        )),
        Register('unknown_count', 0x090, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_unknown_count', True, False, bits='COUNT_W'),
        )),
        Register('absent_count', 0x094, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_absent_count', True, False, bits='COUNT_W'),
        )),
        Register('no_id_count', 0x098, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_no_id_count', True, False, bits='COUNT_W'),
        )),
        Register('passed_over_count', 0x09c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_passed_over_count', True, False, bits='COUNT_W'),
        )),
        Register('refused_count', 0x0a0, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_refused_count', True, False, bits='COUNT_W'),
        )),
    ),
)
