// SPDX-License-Identifier: Apache-2.0

package penstock

import "fmt"

// A mapWriter gathers the fields of a control record, in their order.
type mapWriter struct {
	fields int
	b      []byte
}

func newMapWriter() *mapWriter { return &mapWriter{} }

func (m *mapWriter) put(name string, value interface{}) {
	m.fields++
	m.b = AppendMsgpack(AppendMsgpack(m.b, name), value)
}

func (m *mapWriter) appendTo(to []byte) []byte {
	return append(appendLength(to, m.fields, 0x80, 16, 0xdd), m.b...)
}

// A fieldMap is the msgpack map of a control record; err is the first field that is not what its record says.
type fieldMap struct {
	record string
	values map[string]interface{}
	err    error
}

func readMap(record string, b []byte) (*fieldMap, error) {
	v, err := ReadMsgpack(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %v", record, err)
	}
	values, isMap := v.(map[string]interface{})
	if !isMap {
		return nil, fmt.Errorf("%s met %T, wanted a map", record, v)
	}
	return &fieldMap{record: record, values: values}, nil
}

func (m *fieldMap) has(name string) bool {
	_, there := m.values[name]
	return there
}

func (m *fieldMap) fault(name, wanted string) {
	if m.err != nil {
		return
	}
	if v, there := m.values[name]; there {
		m.err = fmt.Errorf("%s.%s met %v (%T), wanted %s", m.record, name, v, v, wanted)
	} else {
		m.err = fmt.Errorf("%s lacks %s, wanted %s", m.record, name, wanted)
	}
}

func (m *fieldMap) integer(name string) int64 {
	v, fits := m.values[name].(int64)
	if !fits {
		m.fault(name, "an integer of 64 bits")
	}
	return v
}

func (m *fieldMap) text(name string) string {
	v, fits := m.values[name].(string)
	if !fits {
		m.fault(name, "text")
	}
	return v
}

func (m *fieldMap) truth(name string) bool {
	v, fits := m.values[name].(bool)
	if !fits {
		m.fault(name, "true or false")
	}
	return v
}

func (m *fieldMap) octets(name string) []byte {
	v, fits := m.values[name].([]byte)
	if !fits {
		m.fault(name, "bytes")
	}
	return v
}

func (m *fieldMap) any(name string) interface{} {
	if !m.has(name) {
		m.fault(name, "a value")
	}
	return m.values[name]
}

func (m *fieldMap) list(name string) []interface{} {
	v, fits := m.values[name].([]interface{})
	if !fits {
		m.fault(name, "a list")
	}
	return v
}

func (m *fieldMap) anyMap(name string) map[string]interface{} {
	v, fits := m.values[name].(map[string]interface{})
	if !fits {
		m.fault(name, "a map")
	}
	return v
}

func (m *fieldMap) integers(name string) []int64 {
	listed := m.list(name)
	values := make([]int64, 0, len(listed))
	for _, each := range listed {
		v, fits := each.(int64)
		if !fits {
			m.fault(name, "integers of 64 bits")
		}
		values = append(values, v)
	}
	return values
}

func (m *fieldMap) texts(name string) []string {
	listed := m.list(name)
	values := make([]string, 0, len(listed))
	for _, each := range listed {
		v, fits := each.(string)
		if !fits {
			m.fault(name, "texts")
		}
		values = append(values, v)
	}
	return values
}

// row returns the integers of one row, wanted many; zeros where it is something else.
func (m *fieldMap) row(name string, each interface{}, wanted int) []int64 {
	row := make([]int64, wanted)
	values, fits := each.([]interface{})
	if !fits || len(values) != wanted {
		m.fault(name, fmt.Sprintf("rows of %d integers", wanted))
		return row
	}
	for at, value := range values {
		if row[at], fits = value.(int64); !fits {
			m.fault(name, fmt.Sprintf("rows of %d integers", wanted))
		}
	}
	return row
}

func (m *fieldMap) pairs(name string) [][2]int64 {
	listed := m.list(name)
	values := make([][2]int64, len(listed))
	for at, each := range listed {
		copy(values[at][:], m.row(name, each, 2))
	}
	return values
}

func (m *fieldMap) triples(name string) [][3]int64 {
	listed := m.list(name)
	values := make([][3]int64, len(listed))
	for at, each := range listed {
		copy(values[at][:], m.row(name, each, 3))
	}
	return values
}

func (m *fieldMap) rows(name string) []map[string]interface{} {
	listed := m.list(name)
	values := make([]map[string]interface{}, 0, len(listed))
	for _, each := range listed {
		v, fits := each.(map[string]interface{})
		if !fits {
			m.fault(name, "maps")
		}
		values = append(values, v)
	}
	return values
}

func (m *fieldMap) textMap(name string) map[string]string {
	values := map[string]string{}
	for key, each := range m.anyMap(name) {
		v, fits := each.(string)
		if !fits {
			m.fault(name, "a map of texts")
		}
		values[key] = v
	}
	return values
}

func (m *fieldMap) integerMap(name string) map[string]int64 {
	values := map[string]int64{}
	for key, each := range m.anyMap(name) {
		v, fits := each.(int64)
		if !fits {
			m.fault(name, "a map of integers")
		}
		values[key] = v
	}
	return values
}
