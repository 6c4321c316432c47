// SPDX-License-Identifier: Apache-2.0
// The bytes of every record that were committed are read and written here as everywhere; PENSTOCK_GOLDEN names the file.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { test } = require('node:test');

const { eachFrame, readMsgpack, readRecords, writeFrame } = require('./codec');
const records = require('./records');

// JSON's numbers are taken as text first: those of 64 bits would lose their ends.
const text = fs.readFileSync(process.env.PENSTOCK_GOLDEN, 'utf8');
const golden = JSON.parse(text.replace(/(?<=[:[,]\s*)-?\d+(?=[\s,\]}])/g, '"#$&"'));

function exact(value) {
  if (typeof value === 'string' && /^#-?\d+$/.test(value)) return BigInt(value.slice(1));
  if (Array.isArray(value)) return value.map(exact);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, exact(each)]));
  }
  return value;
}

/** A C hex float, as 0x1.199999999999ap+0. */
function hexFloat(value) {
  if (/inf/.test(value)) return value.startsWith('-') ? -Infinity : Infinity;
  const [, sign, whole, part, power] = /^(-?)0x(\d)\.?([0-9a-f]*)p([+-]\d+)$/.exec(value);
  const digits = parseInt(whole, 16) + (part ? parseInt(part, 16) / 16 ** part.length : 0);
  return (sign ? -1 : 1) * digits * 2 ** Number(power);
}

/** Makes of a stated value what the record holds: the kind of the field that was read says which. */
function as(met, value) {
  if (met instanceof Uint8Array) return new Uint8Array(Buffer.from(value, 'base64'));
  if (typeof met === 'number' && typeof value === 'bigint') return Number(value);
  if (typeof met === 'number' && typeof value === 'string') return hexFloat(value);
  if (Array.isArray(met)) return value.map((each, at) => as(met[at], each));
  if (met !== null && typeof met === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, as(met[key], each)]));
  }
  return value;
}

for (const [name, kept] of Object.entries(golden)) {
  const { id, version, bytes, layout_hash: hash, vectors } = kept;
  test(`committed bytes and stated values of ${name} are one record`, () => {
    const schema = records[name];
    assert.deepEqual([schema.id, schema.version, schema.size], [exact(id), exact(version), exact(bytes)].map(Number));
    assert.equal(schema.layoutHash, parseInt(hash, 16));
    for (const [which, { values, hex }] of Object.entries(vectors)) {
      const body = new Uint8Array(Buffer.from(hex, 'hex'));
      const met = schema.read(body);
      const wanted = Object.fromEntries(Object.entries(exact(values)).map(([key, each]) => [key, as(met[key], each)]));
      // A control record's fields at their defaults are not stated.
      assert.deepEqual({ ...met }, { ...schema(wanted) }, which);
      assert.deepEqual(schema.write(schema(wanted)), body, which);
      if (which === 'defaults') {
        const [first] = Object.keys(wanted);
        assert.deepEqual({ ...schema({ [first]: wanted[first] }) }, wanted);
      }
    }
  });
}

test('prices of 64 bits are BigInt, ids are numbers in packed and control records alike', () => {
  const listing = records.ListingDefinition.read(new Uint8Array(Buffer.from(golden.ListingDefinition.vectors.ordinary.hex, 'hex')));
  const quote = records.Quote();
  assert.deepEqual([typeof listing.listing_id, typeof quote.listing_id], ['number', 'number']);
  assert.deepEqual([typeof listing.price_min_ticks, typeof quote.bid_ticks], ['bigint', 'bigint']);
});

test('longer strides are read and shorter ones refused', () => {
  const body = records.Quote.write(records.Quote({ listing_id: 7, bid_ticks: -250n }));
  const long = Buffer.concat([body, Buffer.alloc(8, 1)]);
  const header = { schema_id: records.Quote.id, count: 2, stride: long.length };
  const met = readRecords(header, Buffer.concat([long, long]));
  assert.deepEqual(met.map((each) => [each.listing_id, each.bid_ticks]), [[7, -250n], [7, -250n]]);
  assert.throws(() => readRecords({ ...header, count: 1, stride: 48 }, body.subarray(0, 48)), /wanted 56 or more/);
});

test('values that do not fit are refused by name', () => {
  assert.throws(() => records.Quote.write(records.Quote({ listing_id: -1 })), /Quote.listing_id met -1, wanted 0/);
  assert.throws(() => records.Quote.write(records.Quote({ bid_ticks: 2n ** 63n })), /Quote.bid_ticks met/);
  assert.throws(() => records.Quote({ bid: 1n }), /Quote met a field bid/);
  assert.throws(() => records.Interned.write(records.Interned({ kind: 4 })), /Interned.id met undefined/);
});

test('frames that lie are refused', () => {
  const whole = writeFrame(records.Quote());
  const set = (at, value) => Object.assign(Buffer.from(whole), { [at]: value });
  assert.equal([...eachFrame(whole)].length, 1);
  for (const broken of [whole.subarray(0, whole.length - 1), set(40, 2), set(40, 0), set(0, 200)]) {
    assert.throws(() => [...eachFrame(broken)]);
  }
});

test('msgpack that lies is refused', () => {
  for (const hex of ['', 'dd7fffffff', 'df00000001a1', 'c1', '92', 'd9ff61', '8102', 'c0c0', '91'.repeat(40) + 'c0']) {
    assert.throws(() => readMsgpack(new Uint8Array(Buffer.from(hex, 'hex'))), undefined, hex);
  }
});
