"""Registers of feed_decoder: generated, see `penstock_hw.registers`; change rtl/regs/feed_decoder.rdl."""

# fmt: off

from penstock_hw.registers.model import Block, Field, Kind, Register

ID = 0x46454544  # FEED
VERSION = 1
LAYOUT_HASH = 0x3f343040

FORMAT_ITCH = 0x010  # rw, 32 bits
FORMAT_ITCH_MASK = 0x1
FORMAT_ITCH_RESET = 0
SLOTS = 0x014  # r, 32 bits
SLOTS_MASK = 0xffffffff
ITCH_BASE_NS = 0x018  # rw, 64 bits
ITCH_BASE_NS_MASK = 0x3fffffffffffffff
ITCH_BASE_NS_RESET = 0
MAP_LISTING = 0x020  # rw, 32 bits
MAP_LISTING_MASK = 0xffffffff
MAP_LISTING_RESET = 0
MAP_SLOT = 0x024  # rw, 32 bits
MAP_SLOT_MASK = 0xffff
MAP_SLOT_RESET = 0
MAP_VALID = 0x028  # rw, 32 bits
MAP_VALID_MASK = 0x1
MAP_VALID_RESET = 0
MAP = 0x02c  # pulse, 32 bits
MAP_WRITE_MASK = 0x1
MAP_READ_MASK = 0x2
MAP_STORED_LISTING = 0x030  # r, 32 bits
MAP_STORED_LISTING_MASK = 0xffffffff
MAP_STORED_SLOT = 0x034  # r, 32 bits
MAP_STORED_SLOT_MASK = 0xffff
MAP_STORED_VALID = 0x038  # r, 32 bits
MAP_STORED_VALID_MASK = 0x1
MAP_BITS = 0x03c  # r, 32 bits
MAP_BITS_MASK = 0xffffffff
RECORDS_MAX = 0x040  # r, 32 bits
RECORDS_MAX_MASK = 0xffffffff
QUOTE_LAYOUT = 0x044  # r, 32 bits
QUOTE_LAYOUT_MASK = 0xffffffff
BOOK_ORDER_LAYOUT = 0x048  # r, 32 bits
BOOK_ORDER_LAYOUT_MASK = 0xffffffff
BOOK_PRICE_LAYOUT = 0x04c  # r, 32 bits
BOOK_PRICE_LAYOUT_MASK = 0xffffffff
ACCEPTED_COUNT = 0x050  # r, 32 bits
ACCEPTED_COUNT_MASK = 0xffffffff
OTHER_COUNT = 0x054  # r, 32 bits
OTHER_COUNT_MASK = 0xffffffff
MALFORMED_COUNT = 0x058  # r, 32 bits
MALFORMED_COUNT_MASK = 0xffffffff
TRUNCATED_COUNT = 0x05c  # r, 32 bits
TRUNCATED_COUNT_MASK = 0xffffffff
OVERSIZED_COUNT = 0x060  # r, 32 bits
OVERSIZED_COUNT_MASK = 0xffffffff
INTERLEAVED_COUNT = 0x064  # r, 32 bits
INTERLEAVED_COUNT_MASK = 0xffffffff
OUT_OF_ORDER_COUNT = 0x068  # r, 32 bits
OUT_OF_ORDER_COUNT_MASK = 0xffffffff
UPDATES_COUNT = 0x06c  # r, 32 bits
UPDATES_COUNT_MASK = 0xffffffff
UNMAPPED_COUNT = 0x070  # r, 32 bits
UNMAPPED_COUNT_MASK = 0xffffffff
RANGE_COUNT = 0x074  # r, 32 bits
RANGE_COUNT_MASK = 0xffffffff

BLOCK = Block(
    'feed_decoder', ID, VERSION, {
        'SLOTS': 256,
        'MAP_W': 10,
        'RECORDS_MAX': 16,
        'COUNT_W': 32,
    }, (
        Register('format_itch', 0x010, 32, (
            Field('format_itch', 0, 1, Kind.CONFIG, 'cfg_format_itch', True, True),
        )),
        Register('slots', 0x014, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='SLOTS'),
        )),
        Register('itch_base_ns', 0x018, 64, (
            Field('value', 0, 62, Kind.CONFIG, 'cfg_itch_base_ns', True, True),
        )),
        Register('map_listing', 0x020, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_map_listing', True, True),
        )),
        Register('map_slot', 0x024, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_map_slot', True, True, below='SLOTS'),
        )),
        Register('map_valid', 0x028, 32, (
            Field('map_valid', 0, 1, Kind.CONFIG, 'cfg_map_valid', True, True),
        )),
        Register('map', 0x02c, 32, (
            Field('write', 0, 1, Kind.PULSE, 'cfg_map_write', False, True),
            Field('read', 1, 1, Kind.PULSE, 'cfg_map_read', False, True),
        )),
        Register('map_stored_listing', 0x030, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_map_stored_listing', True, False),
        ), settles=True),
        Register('map_stored_slot', 0x034, 32, (
            Field('value', 0, 16, Kind.STATUS, 'sts_map_stored_slot', True, False, below='SLOTS'),
        ), settles=True),
        Register('map_stored_valid', 0x038, 32, (
            Field('map_stored_valid', 0, 1, Kind.STATUS, 'sts_map_stored_valid', True, False),
        ), settles=True),
        Register('map_bits', 0x03c, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='MAP_W'),
        )),
        Register('records_max', 0x040, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='RECORDS_MAX'),
        )),
        Register('quote_layout', 0x044, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_quote_layout', True, False),
        )),
        Register('book_order_layout', 0x048, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_book_order_layout', True, False),
        )),
        Register('book_price_layout', 0x04c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_book_price_layout', True, False),
        )),
        Register('accepted_count', 0x050, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_accepted_count', True, False, bits='COUNT_W'),
        )),
        Register('other_count', 0x054, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_other_count', True, False, bits='COUNT_W'),
        )),
        Register('malformed_count', 0x058, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_malformed_count', True, False, bits='COUNT_W'),
        )),
        Register('truncated_count', 0x05c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_truncated_count', True, False, bits='COUNT_W'),
        )),
        Register('oversized_count', 0x060, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_oversized_count', True, False, bits='COUNT_W'),
        )),
        Register('interleaved_count', 0x064, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_interleaved_count', True, False, bits='COUNT_W'),
        )),
        Register('out_of_order_count', 0x068, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_out_of_order_count', True, False, bits='COUNT_W'),
        )),
        Register('updates_count', 0x06c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_updates_count', True, False, bits='COUNT_W'),
        )),
        Register('unmapped_count', 0x070, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_unmapped_count', True, False, bits='COUNT_W'),
        )),
        Register('range_count', 0x074, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_range_count', True, False, bits='COUNT_W'),
        )),
    ),
)
