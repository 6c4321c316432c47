// SPDX-License-Identifier: Apache-2.0
// Bytes and records: packed records by their tables, control records as msgpack, frames with their headers.
'use strict';

const HEADER_BYTES = 48;
const DEPTH_MAX = 32;
const FRAME_RECORDS_MAX = 4096;

/** Width, reader and writer of each field type; everything is little-endian. */
const TYPES = {
  u8: [1, 'getUint8', 'setUint8'],
  u16: [2, 'getUint16', 'setUint16'],
  u32: [4, 'getUint32', 'setUint32'],
  u64: [8, 'getBigUint64', 'setBigUint64'],
  i8: [1, 'getInt8', 'setInt8'],
  i16: [2, 'getInt16', 'setInt16'],
  i32: [4, 'getInt32', 'setInt32'],
  i64: [8, 'getBigInt64', 'setBigInt64'],
  f64: [8, 'getFloat64', 'setFloat64'],
};

/** Smallest and largest integer of each type, as numbers and as BigInt. */
const RANGES = Object.fromEntries(Object.entries(TYPES).filter(([type]) => type !== 'f64').map(([type, [width]]) => {
  const bits = BigInt(8 * width);
  const [low, high] = type[0] === 'i' ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
  return [type, [Number(low), Number(high), low, high]];
}));

const byId = new Map();

function view(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function declare(head, make, read, write) {
  const schema = (fields) => make(fields || {});
  Object.defineProperty(schema, 'name', { value: head.name });
  Object.assign(schema, { id: head.id, version: head.version, topic: head.topic, size: head.size });
  Object.assign(schema, { layoutHash: head.layoutHash, read, write });
  byId.set(head.id, schema);
  return schema;
}

/** Marks a record with its schema, where neither JSON nor a loop over its fields sees it. */
function marked(record, schema) {
  return Object.defineProperty(record, 'schema', { value: schema });
}

function checkKeys(head, rows, fields) {
  for (const key of Object.keys(fields)) {
    if (!rows.some(([name]) => name === key)) {
      throw new TypeError(`${head.name} met a field ${key}, wanted ${rows.map(([name]) => name).join(', ')}`);
    }
  }
}

/** Declares a packed record: rows of name, type, offset and default. */
function packed(head, rows) {
  const schema = declare(head, make, read, write);
  function make(fields) {
    checkKeys(head, rows, fields);
    const record = {};
    for (const [name, , , byDefault] of rows) record[name] = name in fields ? fields[name] : byDefault;
    return marked(record, schema);
  }
  function read(body) {
    if (body.length < head.size) {
      throw new RangeError(
        `${head.name} met a stride of ${body.length} bytes, wanted ${head.size} or more; the sender is older`);
    }
    const at = view(body);
    const record = {};
    for (const [name, type, offset] of rows) record[name] = at[TYPES[type][1]](offset, true);
    return marked(record, schema);
  }
  function write(record) {
    const body = new Uint8Array(head.size);
    const at = view(body);
    for (const [name, type, offset] of rows) put(at, head.name, name, type, offset, record[name]);
    return body;
  }
  return schema;
}

function put(at, owner, name, type, offset, value) {
  const [width, , set] = TYPES[type];
  if (type === 'f64') {
    at.setFloat64(offset, value, true);
    return;
  }
  if (width < 8 && typeof value === 'number') {  // the common case, without a BigInt
    const [low, high] = RANGES[type];
    if (!Number.isInteger(value)) throw new TypeError(`${owner}.${name} met ${value}, wanted an integer`);
    if (value < low || value > high) throw new RangeError(`${owner}.${name} met ${value}, wanted ${low} … ${high}`);
    at[set](offset, value, true);
    return;
  }
  let exact;
  try {
    exact = typeof value === 'bigint' ? value : BigInt(value);
  } catch {
    throw new TypeError(`${owner}.${name} met ${value}, wanted an integer`);
  }
  const [, , low, high] = RANGES[type];
  if (exact < low || exact > high) throw new RangeError(`${owner}.${name} met ${value}, wanted ${low} … ${high}`);
  at[set](offset, width === 8 ? exact : Number(exact), true);
}

/** Declares a control record: rows of name, kind and default; a row without a default is required. */
function control(head, rows) {
  const schema = declare(head, make, read, write);
  function fallback(row) {
    const value = row[2];
    return value !== null && typeof value === 'object' ? (Array.isArray(value) ? [] : {}) : value;
  }
  function make(fields) {
    checkKeys(head, rows, fields);
    const record = {};
    for (const row of rows) record[row[0]] = row[0] in fields ? fields[row[0]] : fallback(row);
    return marked(record, schema);
  }
  function read(body) {
    const met = readMsgpack(body);
    if (met === null || typeof met !== 'object' || Array.isArray(met) || met instanceof Uint8Array) {
      throw new TypeError(`${head.name} met no map, wanted one`);
    }
    const record = {};
    for (const row of rows) {
      const [name, kind] = row;
      if (name in met) record[name] = taken(head.name, name, kind, met[name]);
      else if (row.length === 2) throw new TypeError(`${head.name} lacks ${name}, wanted it`);
      else record[name] = fallback(row);
    }
    return marked(record, schema);
  }
  function write(record) {
    const fields = [];
    for (const row of rows) {
      const [name, kind] = row;
      if (row.length === 2 && (record[name] === undefined || record[name] === null) && kind !== 'any') {
        throw new TypeError(`${head.name}.${name} met ${record[name]}, wanted a value`);
      }
      const value = given(head.name, name, kind, record[name]);
      if (row.length === 3 && atDefault(value, row[2])) continue;
      fields.push([name, value]);
    }
    const out = [];
    appendLength(out, fields.length, 0x80, 16, 0, 0xde, 0xdf);
    for (const [name, value] of fields) {
      append(out, name);
      append(out, value);
    }
    return Uint8Array.from(out);
  }
  return schema;
}

function atDefault(value, byDefault) {
  if (value === undefined || value === null) return true;
  if (Array.isArray(byDefault)) return value.length === 0;
  if (byDefault !== null && typeof byDefault === 'object') return Object.keys(value).length === 0;
  return typeof byDefault === 'number' ? Number(value) === byDefault : value === byDefault;
}

function deep(value, change) {
  if (Array.isArray(value)) return value.map((each) => deep(each, change));
  if (value !== null && typeof value === 'object' && !(value instanceof Uint8Array)) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, deep(each, change)]));
  }
  return change(value);
}

/** Takes a value off msgpack, where every integer is a BigInt, as its field has it. */
function taken(owner, name, kind, value) {
  const wrong = (wanted) => new TypeError(`${owner}.${name} met ${String(value)}, wanted ${wanted}`);
  const whole = (each) => {
    if (typeof each !== 'bigint') throw wrong('integers');
    return each;
  };
  if (kind === 'bigint') return whole(value);
  if (kind === 'number') return Number(whole(value));
  if (kind === 'bigints') return deep(value, whole);
  if (kind === 'numbers') return deep(value, (each) => Number(whole(each)));
  if (kind === 'str' && typeof value !== 'string') throw wrong('text');
  if (kind === 'bool' && typeof value !== 'boolean') throw wrong('true or false');
  if (kind === 'bytes' && !(value instanceof Uint8Array)) throw wrong('bytes');
  return value;
}

/** Makes of a field's value what append writes: integers as BigInt. */
function given(owner, name, kind, value) {
  if (value === undefined || value === null) return value;
  try {
    if (kind === 'bigint' || kind === 'number') return BigInt(value);
    if (kind === 'bigints' || kind === 'numbers') return deep(value, BigInt);
  } catch {
    throw new TypeError(`${owner}.${name} met ${String(value)}, wanted an integer`);
  }
  return value;
}

/** Returns the one value that msgpack bytes hold: integers as BigInt, floats as numbers, maps as objects. */
function readMsgpack(bytes) {
  const at = view(bytes);
  let offset = 0;
  let depth = 0;
  const take = (n) => {
    if (offset + n > bytes.length) throw new RangeError(`msgpack ends after ${bytes.length} bytes, wanted ${offset + n}`);
    offset += n;
    return offset - n;
  };
  const length = (octets) => {
    const from = take(octets);
    const n = octets === 1 ? at.getUint8(from) : octets === 2 ? at.getUint16(from) : at.getUint32(from);
    // Every element takes a byte at least: a longer count is a lie, and nothing is set aside for it.
    if (n > bytes.length - offset) throw new RangeError(`msgpack says ${n} elements, wanted at most ${bytes.length - offset}`);
    return n;
  };
  const text = (n) => {
    const from = take(n);
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(from, from + n));
  };
  const inside = (fill) => {
    if (++depth > DEPTH_MAX) throw new RangeError(`msgpack met values ${depth} deep, wanted at most ${DEPTH_MAX}`);
    const made = fill();
    depth--;
    return made;
  };
  const array = (n) => inside(() => Array.from({ length: n }, () => value()));
  const map = (n) => inside(() => {
    const made = {};
    for (let i = 0; i < n; i++) {
      const key = value();
      if (typeof key !== 'string') throw new TypeError(`msgpack met a key ${String(key)}, wanted text`);
      Object.defineProperty(made, key, { value: value(), enumerable: true, configurable: true, writable: true });
    }
    return made;
  });
  const octets = (n) => {
    const from = take(n);
    return bytes.slice(from, from + n);
  };
  const value = () => {
    const c = at.getUint8(take(1));
    if (c <= 0x7f) return BigInt(c);
    if (c >= 0xe0) return BigInt(c - 0x100);
    if ((c & 0xe0) === 0xa0) return text(c & 0x1f);
    if ((c & 0xf0) === 0x90) return array(c & 0x0f);
    if ((c & 0xf0) === 0x80) return map(c & 0x0f);
    switch (c) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: return octets(length(1));
      case 0xc5: return octets(length(2));
      case 0xc6: return octets(length(4));
      case 0xca: return at.getFloat32(take(4));
      case 0xcb: return at.getFloat64(take(8));
      case 0xcc: return BigInt(at.getUint8(take(1)));
      case 0xcd: return BigInt(at.getUint16(take(2)));
      case 0xce: return BigInt(at.getUint32(take(4)));
      case 0xcf: return at.getBigUint64(take(8));
      case 0xd0: return BigInt(at.getInt8(take(1)));
      case 0xd1: return BigInt(at.getInt16(take(2)));
      case 0xd2: return BigInt(at.getInt32(take(4)));
      case 0xd3: return at.getBigInt64(take(8));
      case 0xd9: return text(length(1));
      case 0xda: return text(length(2));
      case 0xdb: return text(length(4));
      case 0xdc: return array(length(2));
      case 0xdd: return array(length(4));
      case 0xde: return map(length(2));
      case 0xdf: return map(length(4));
      default: throw new TypeError(`msgpack met type 0x${c.toString(16)}, wanted none of the extensions`);
    }
  };
  const made = value();
  if (offset < bytes.length) throw new RangeError(`msgpack met ${bytes.length - offset} bytes after its value, wanted none`);
  return made;
}

/** Returns a value as msgpack in its shortest form: BigInt as integers, and of numbers the whole ones that are safe. */
function writeMsgpack(value) {
  const out = [];
  append(out, value);
  return Uint8Array.from(out);
}

function append(out, value) {
  if (value === null || value === undefined) out.push(0xc0);
  else if (typeof value === 'boolean') out.push(value ? 0xc3 : 0xc2);
  else if (typeof value === 'bigint') appendInteger(out, value);
  else if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) appendInteger(out, BigInt(value));
    else appendView(out, 0xcb, 8, (at) => at.setFloat64(0, value));
  } else if (typeof value === 'string') {
    const bytes = new TextEncoder().encode(value);
    appendLength(out, bytes.length, 0xa0, 32, 0xd9, 0xda, 0xdb);
    for (const each of bytes) out.push(each);
  } else if (value instanceof Uint8Array) {
    appendLength(out, value.length, 0, 0, 0xc4, 0xc5, 0xc6);
    for (const each of value) out.push(each);
  } else if (Array.isArray(value)) {
    appendLength(out, value.length, 0x90, 16, 0, 0xdc, 0xdd);
    for (const each of value) append(out, each);
  } else if (typeof value === 'object') {
    const entries = Object.entries(value);
    appendLength(out, entries.length, 0x80, 16, 0, 0xde, 0xdf);
    for (const [key, each] of entries) {
      append(out, key);
      append(out, each);
    }
  } else throw new TypeError(`msgpack met a ${typeof value}, wanted what msgpack carries`);
}

function appendView(out, code, octets, set) {
  const bytes = new Uint8Array(octets);
  set(view(bytes));
  out.push(code, ...bytes);
}

/** Writes a length: in the head byte below short, else after the code of 8, 16 or 32 bits; 0 is a code there is not. */
function appendLength(out, n, head, short, code8, code16, code32) {
  if (n < short) out.push(head | n);
  else if (n < 0x100 && code8) out.push(code8, n);
  else if (n < 0x10000) out.push(code16, n >> 8, n & 0xff);
  else appendView(out, code32, 4, (at) => at.setUint32(0, n));
}

function appendInteger(out, n) {
  if (n >= -32n && n < 128n) out.push(Number(n) & 0xff);
  else if (n >= 0n) {
    if (n < 1n << 8n) out.push(0xcc, Number(n));
    else if (n < 1n << 16n) appendView(out, 0xcd, 2, (at) => at.setUint16(0, Number(n)));
    else if (n < 1n << 32n) appendView(out, 0xce, 4, (at) => at.setUint32(0, Number(n)));
    else if (n < 1n << 64n) appendView(out, 0xcf, 8, (at) => at.setBigUint64(0, n));
    else throw new RangeError(`msgpack met ${n}, wanted an integer of 64 bits`);
  } else if (n >= -(1n << 7n)) appendView(out, 0xd0, 1, (at) => at.setInt8(0, Number(n)));
  else if (n >= -(1n << 15n)) appendView(out, 0xd1, 2, (at) => at.setInt16(0, Number(n)));
  else if (n >= -(1n << 31n)) appendView(out, 0xd2, 4, (at) => at.setInt32(0, Number(n)));
  else if (n >= -(1n << 63n)) appendView(out, 0xd3, 8, (at) => at.setBigInt64(0, n));
  else throw new RangeError(`msgpack met ${n}, wanted an integer of 64 bits`);
}

const HEADER = [
  ['body_bytes', 'u32', 0], ['schema_id', 'u16', 4], ['version', 'u8', 6], ['origin', 'u8', 7], ['seq', 'i64', 8],
  ['at_ns', 'i64', 16], ['cause_seq', 'i64', 24], ['correlation_seq', 'i64', 32], ['count', 'u32', 40],
  ['stride', 'u16', 44], ['producer', 'u16', 46],
];

/** Yields header and body of each frame; throws where the bytes are none. */
function* eachFrame(frames) {
  let at = 0;
  while (at < frames.length) {
    const left = frames.length - at - HEADER_BYTES;
    if (left < 0) throw new RangeError(`frame header met ${frames.length - at} bytes, wanted ${HEADER_BYTES}`);
    const bytes = view(frames.subarray(at, at + HEADER_BYTES));
    const header = {};
    for (const [name, type, offset] of HEADER) header[name] = bytes[TYPES[type][1]](offset, true);
    const { body_bytes: size, schema_id: id, count, stride } = header;
    const whole = Math.ceil(size / 8) * 8;
    if (whole > left) throw new RangeError(`frame of schema ${id} met ${left} bytes, wanted ${whole}`);
    if (count < 1 || count > FRAME_RECORDS_MAX) {
      throw new RangeError(`frame of schema ${id} met ${count} records, wanted 1 … ${FRAME_RECORDS_MAX}`);
    }
    if (stride === 0 ? count !== 1 : count * stride !== size) {
      throw new RangeError(`frame of schema ${id} met a body of ${size} bytes, wanted ${count} records of ${stride}`);
    }
    yield [header, frames.subarray(at + HEADER_BYTES, at + HEADER_BYTES + size)];
    at += HEADER_BYTES + whole;
  }
}

/** Returns the records of a frame; none when their schema is unknown here. */
function readRecords(header, body) {
  const schema = byId.get(header.schema_id);
  if (!schema) return [];
  if ((schema.size === 0) !== (header.stride === 0)) {
    throw new RangeError(`frame of ${schema.name} met a stride of ${header.stride}, wanted ${schema.size} or more`);
  }
  if (header.stride === 0) return [schema.read(body)];
  const records = [];
  for (let i = 0; i < header.count; i++) records.push(schema.read(body.subarray(i * header.stride, (i + 1) * header.stride)));
  return records;
}

const NOBODY = { origin: 0, seq: 0n, at_ns: 0n, cause_seq: -(1n << 63n), correlation_seq: -(1n << 63n), producer: 0 };

/** Returns a frame of one record, stamped as the header's fields say. */
function writeFrame(record, stamps) {
  const { schema } = record;
  if (!schema) throw new TypeError(`met ${String(record)}, wanted a record such as Quote({ listing_id: 1 })`);
  const body = schema.write(record);
  const out = new Uint8Array(HEADER_BYTES + Math.ceil(body.length / 8) * 8);
  const header = { ...NOBODY, ...stamps, body_bytes: body.length, schema_id: schema.id, version: schema.version };
  Object.assign(header, { count: 1, stride: schema.size });
  const at = view(out);
  for (const [name, type, offset] of HEADER) put(at, 'header', name, type, offset, header[name]);
  out.set(body, HEADER_BYTES);
  return out;
}

/** Returns how many records are in packed frames. */
function countRecords(frames) {
  let records = 0;
  for (const [header] of eachFrame(frames)) records += header.count;
  return records;
}

module.exports = { HEADER, packed, control, readMsgpack, writeMsgpack, eachFrame, readRecords, writeFrame, countRecords };
