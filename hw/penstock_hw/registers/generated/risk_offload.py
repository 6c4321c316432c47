"""Registers of risk_offload: generated, see `penstock_hw.registers`; change rtl/regs/risk_offload.rdl."""

# fmt: off

from penstock_hw.registers.model import Block, Field, Kind, Register

ID = 0x4f46464c  # OFFL
VERSION = 1
LAYOUT_HASH = 0xfd7f6974

SLOTS = 0x010  # r, 32 bits
SLOTS_MASK = 0xffffffff
RECORDS_MAX = 0x014  # r, 32 bits
RECORDS_MAX_MASK = 0xffffffff
PRODUCER = 0x018  # rw, 32 bits
PRODUCER_MASK = 0xffff
PRODUCER_RESET = 0
MAP_LISTING = 0x01c  # rw, 32 bits
MAP_LISTING_MASK = 0xffffffff
MAP_LISTING_RESET = 0
MAP_SLOT = 0x020  # rw, 32 bits
MAP_SLOT_MASK = 0xffff
MAP_SLOT_RESET = 0
MAP_VALID = 0x024  # rw, 32 bits
MAP_VALID_MASK = 0x1
MAP_VALID_RESET = 0
MAP = 0x028  # pulse, 32 bits
MAP_WRITE_MASK = 0x1
MAP_READ_MASK = 0x2
MAP_ROW_LISTING = 0x02c  # r, 32 bits
MAP_ROW_LISTING_MASK = 0xffffffff
MAP_ROW = 0x030  # r, 32 bits
MAP_ROW_SLOT_MASK = 0xffff
MAP_ROW_VALID_MASK = 0x10000
FRAME_COUNT = 0x034  # r, 32 bits
FRAME_COUNT_MASK = 0xffffffff
REFUSED_COUNT = 0x038  # r, 32 bits
REFUSED_COUNT_MASK = 0xffffffff
REFUSED_REASON = 0x03c  # r, 32 bits
REFUSED_REASON_MASK = 0xf
REFERENCE_COUNT = 0x040  # r, 32 bits
REFERENCE_COUNT_MASK = 0xffffffff
MISFIT_COUNT = 0x044  # r, 32 bits
MISFIT_COUNT_MASK = 0xffffffff
PASSED_COUNT = 0x048  # r, 32 bits
PASSED_COUNT_MASK = 0xffffffff
VERDICT_REFUSED_COUNT = 0x04c  # r, 32 bits
VERDICT_REFUSED_COUNT_MASK = 0xffffffff
UNDONE_COUNT = 0x050  # r, 32 bits
UNDONE_COUNT_MASK = 0xffffffff
UNDONE_REASON = 0x054  # r, 32 bits
UNDONE_REASON_MASK = 0xff
OCCUPIED = 0x058  # r, 32 bits
OCCUPIED_MASK = 0x1

BLOCK = Block(
    'risk_offload', ID, VERSION, {
        'SLOTS': 255,
        'RECORDS_MAX': 8,
    }, (
        Register('slots', 0x010, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='SLOTS'),
        )),
        Register('records_max', 0x014, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='RECORDS_MAX'),
        )),
        Register('producer', 0x018, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_producer', True, True),
        )),
        Register('map_listing', 0x01c, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_map_listing', True, True),
        )),
        Register('map_slot', 0x020, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_map_slot', True, True, below='SLOTS'),
        )),
        Register('map_valid', 0x024, 32, (
            Field('map_valid', 0, 1, Kind.CONFIG, 'cfg_map_valid', True, True),
        )),
        Register('map', 0x028, 32, (
            Field('write', 0, 1, Kind.PULSE, 'cfg_map_write', False, True),
            Field('read', 1, 1, Kind.PULSE, 'cfg_map_read', False, True),
        )),
        Register('map_row_listing', 0x02c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_map_row_listing', True, False),
        ), settles=True),
        Register('map_row', 0x030, 32, (
            Field('slot', 0, 16, Kind.STATUS, 'sts_map_row_slot', True, False, below='SLOTS'),
            Field('valid', 16, 1, Kind.STATUS, 'sts_map_row_valid', True, False),
        ), settles=True),
        Register('frame_count', 0x034, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_frame_count', True, False),
        )),
        Register('refused_count', 0x038, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_refused_count', True, False),
        )),
        Register('refused_reason', 0x03c, 32, (
            Field('value', 0, 4, Kind.STATUS, 'sts_refused_reason', True, False),
        )),
        Register('reference_count', 0x040, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_reference_count', True, False),
        )),
        Register('misfit_count', 0x044, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_misfit_count', True, False),
        )),
        Register('passed_count', 0x048, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_passed_count', True, False),
        )),
        Register('verdict_refused_count', 0x04c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_verdict_refused_count', True, False),
        )),
        Register('undone_count', 0x050, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_undone_count', True, False),
        )),
        Register('undone_reason', 0x054, 32, (
            Field('value', 0, 8, Kind.STATUS, 'sts_undone_reason', True, False),
        )),
        Register('occupied', 0x058, 32, (
            Field('value', 0, 1, Kind.STATUS, 'sts_occupied', True, False),
        )),
    ),
)
