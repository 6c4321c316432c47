// SPDX-License-Identifier: Apache-2.0

package penstock

import (
	"encoding/binary"
	"fmt"
	"math"
	"sort"
)

// depthMax bounds how deep arrays and maps may lie in one another: what comes over the wire may be hostile.
const depthMax = 32

// A msgpackReader takes values off msgpack: nil, bool, int64, uint64 (above int64), float64, string, []byte,
// []interface{} and map[string]interface{}.
type msgpackReader struct {
	b     []byte
	depth int
}

func (r *msgpackReader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.b) {
		return nil, fmt.Errorf("msgpack ends after %d bytes, wanted %d more", len(r.b), n)
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken, nil
}

func (r *msgpackReader) length(octets int) (int, error) {
	b, err := r.take(octets)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, each := range b {
		n = n<<8 | int(each)
	}
	// Every element takes a byte at least: a longer count is a lie, and nothing is set aside for it.
	if n > len(r.b) {
		return 0, fmt.Errorf("msgpack says %d elements, wanted at most the %d bytes that are left", n, len(r.b))
	}
	return n, nil
}

func (r *msgpackReader) value() (interface{}, error) {
	head, err := r.take(1)
	if err != nil {
		return nil, err
	}
	c := head[0]
	switch {
	case c <= 0x7f:
		return int64(c), nil
	case c >= 0xe0:
		return int64(int8(c)), nil
	case c&0xe0 == 0xa0:
		return r.text(int(c & 0x1f))
	case c&0xf0 == 0x90:
		return r.array(int(c & 0x0f))
	case c&0xf0 == 0x80:
		return r.mapping(int(c & 0x0f))
	}
	switch c {
	case 0xc0:
		return nil, nil
	case 0xc2, 0xc3:
		return c == 0xc3, nil
	case 0xca:
		b, err := r.take(4)
		if err != nil {
			return nil, err
		}
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b))), nil
	case 0xcb:
		b, err := r.take(8)
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	case 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3:
		return r.integer(c)
	}
	return r.sized(c)
}

func (r *msgpackReader) integer(c byte) (interface{}, error) {
	octets := 1 << (c & 3)
	b, err := r.take(octets)
	if err != nil {
		return nil, err
	}
	var n uint64
	for _, each := range b {
		n = n<<8 | uint64(each)
	}
	if c >= 0xd0 {
		shift := uint(64 - 8*octets)
		return int64(n<<shift) >> shift, nil
	}
	if n > math.MaxInt64 {
		return n, nil
	}
	return int64(n), nil
}

func (r *msgpackReader) sized(c byte) (interface{}, error) {
	octets, known := map[byte]int{
		0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4, 0xdc: 2, 0xdd: 4, 0xde: 2, 0xdf: 4,
	}[c]
	if !known {
		return nil, fmt.Errorf("msgpack met type 0x%02x, wanted none of the extensions", c)
	}
	n, err := r.length(octets)
	if err != nil {
		return nil, err
	}
	switch c {
	case 0xc4, 0xc5, 0xc6:
		b, err := r.take(n)
		return append([]byte{}, b...), err
	case 0xd9, 0xda, 0xdb:
		return r.text(n)
	case 0xdc, 0xdd:
		return r.array(n)
	}
	return r.mapping(n)
}

func (r *msgpackReader) text(n int) (interface{}, error) {
	b, err := r.take(n)
	return string(b), err
}

func (r *msgpackReader) deeper() error {
	if r.depth++; r.depth > depthMax {
		return fmt.Errorf("msgpack met values %d deep, wanted at most %d", r.depth, depthMax)
	}
	return nil
}

func (r *msgpackReader) array(n int) (interface{}, error) {
	if err := r.deeper(); err != nil {
		return nil, err
	}
	defer func() { r.depth-- }()
	values := make([]interface{}, 0, n)
	for i := 0; i < n; i++ {
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func (r *msgpackReader) mapping(n int) (interface{}, error) {
	if err := r.deeper(); err != nil {
		return nil, err
	}
	defer func() { r.depth-- }()
	values := make(map[string]interface{}, n)
	for i := 0; i < n; i++ {
		key, err := r.value()
		if err != nil {
			return nil, err
		}
		name, isText := key.(string)
		if !isText {
			return nil, fmt.Errorf("msgpack met a key %v, wanted text", key)
		}
		if values[name], err = r.value(); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// ReadMsgpack returns the one value that b holds.
func ReadMsgpack(b []byte) (interface{}, error) {
	r := msgpackReader{b: b}
	v, err := r.value()
	if err == nil && len(r.b) > 0 {
		err = fmt.Errorf("msgpack met %d bytes after its value, wanted none", len(r.b))
	}
	return v, err
}

// AppendMsgpack appends a value in its shortest form; maps in the order of their keys.
func AppendMsgpack(to []byte, value interface{}) []byte {
	switch v := value.(type) {
	case nil:
		return append(to, 0xc0)
	case bool:
		if v {
			return append(to, 0xc3)
		}
		return append(to, 0xc2)
	case int:
		return appendInteger(to, int64(v))
	case int64:
		return appendInteger(to, v)
	case uint64:
		if v <= math.MaxInt64 {
			return appendInteger(to, int64(v))
		}
		return appendBig(append(to, 0xcf), v, 8)
	case float64:
		return appendBig(append(to, 0xcb), math.Float64bits(v), 8)
	case string:
		return append(appendLength(to, len(v), 0xa0, 32, 0xd9), v...)
	case []byte:
		return append(appendLength(to, len(v), 0, 0, 0xc4), v...)
	}
	return appendMany(to, value)
}

func appendMany(to []byte, value interface{}) []byte {
	switch v := value.(type) {
	case []interface{}:
		return appendArray(to, len(v), func(i int) interface{} { return v[i] })
	case []int64:
		return appendArray(to, len(v), func(i int) interface{} { return v[i] })
	case []string:
		return appendArray(to, len(v), func(i int) interface{} { return v[i] })
	case [][2]int64:
		return appendArray(to, len(v), func(i int) interface{} { return v[i][:] })
	case [][3]int64:
		return appendArray(to, len(v), func(i int) interface{} { return v[i][:] })
	case []map[string]interface{}:
		return appendArray(to, len(v), func(i int) interface{} { return v[i] })
	case map[string]string:
		any := make(map[string]interface{}, len(v))
		for key, each := range v {
			any[key] = each
		}
		return appendMap(to, any)
	case map[string]int64:
		any := make(map[string]interface{}, len(v))
		for key, each := range v {
			any[key] = each
		}
		return appendMap(to, any)
	case map[string]interface{}:
		return appendMap(to, v)
	}
	panic(fmt.Sprintf("msgpack met a value of %T, wanted what msgpack carries", value))
}

func appendArray(to []byte, n int, at func(int) interface{}) []byte {
	to = appendLength(to, n, 0x90, 16, 0xdb) // 0xdb + 1 is array 16: arrays have no 8-bit form
	for i := 0; i < n; i++ {
		to = AppendMsgpack(to, at(i))
	}
	return to
}

func appendMap(to []byte, v map[string]interface{}) []byte {
	keys := make([]string, 0, len(v))
	for key := range v {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	to = appendLength(to, len(keys), 0x80, 16, 0xdd)
	for _, key := range keys {
		to = AppendMsgpack(AppendMsgpack(to, key), v[key])
	}
	return to
}

// appendLength writes a length: in the head byte below short, else after the code of 8, 16 or 32 bits. Arrays and maps
// have no code of 8 bits; theirs would be 0xdb and 0xdd, which are never used for it.
func appendLength(to []byte, n int, head byte, short int, code byte) []byte {
	noByte := code == 0xdb || code == 0xdd
	switch {
	case n < short:
		return append(to, head|byte(n))
	case n < 1<<8 && !noByte:
		return append(to, code, byte(n))
	case n < 1<<16:
		return appendBig(append(to, code+1), uint64(n), 2)
	}
	return appendBig(append(to, code+2), uint64(n), 4)
}

func appendInteger(to []byte, n int64) []byte {
	switch {
	case n >= 0 && n < 1<<7, n < 0 && n >= -32:
		return append(to, byte(n))
	case n >= 0 && n < 1<<8:
		return append(to, 0xcc, byte(n))
	case n >= 0 && n < 1<<16:
		return appendBig(append(to, 0xcd), uint64(n), 2)
	case n >= 0 && n < 1<<32:
		return appendBig(append(to, 0xce), uint64(n), 4)
	case n >= 0:
		return appendBig(append(to, 0xcf), uint64(n), 8)
	case n >= math.MinInt8:
		return append(to, 0xd0, byte(n))
	case n >= math.MinInt16:
		return appendBig(append(to, 0xd1), uint64(n), 2)
	case n >= math.MinInt32:
		return appendBig(append(to, 0xd2), uint64(n), 4)
	}
	return appendBig(append(to, 0xd3), uint64(n), 8)
}

func appendBig(to []byte, n uint64, octets int) []byte {
	for i := octets - 1; i >= 0; i-- {
		to = append(to, byte(n>>(8*uint(i))))
	}
	return to
}
