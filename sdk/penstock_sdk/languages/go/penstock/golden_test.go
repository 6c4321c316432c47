// SPDX-License-Identifier: Apache-2.0

package penstock

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io/ioutil"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// The bytes of every record that were committed are read and written here as everywhere; PENSTOCK_GOLDEN names the file.

type goldenRecord struct {
	ID         uint16 `json:"id"`
	Version    uint8  `json:"version"`
	Bytes      uint16 `json:"bytes"`
	LayoutHash string `json:"layout_hash"`
	Vectors    map[string]struct {
		Values map[string]interface{} `json:"values"`
		Hex    string                 `json:"hex"`
	} `json:"vectors"`
}

func golden(t *testing.T) map[string]goldenRecord {
	path := os.Getenv("PENSTOCK_GOLDEN")
	if path == "" {
		t.Skip("PENSTOCK_GOLDEN names no file")
	}
	text, err := ioutil.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]goldenRecord{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&kept); err != nil {
		t.Fatal(err)
	}
	return kept
}

// stated fills a record with the values that the file states; floats stand there as C hex.
func stated(t *testing.T, r Record, values map[string]interface{}) {
	fields := reflect.ValueOf(r).Elem()
	floats := map[string]float64{}
	for name, value := range values {
		if s, isText := value.(string); isText && strings.Contains(s, "x") || value == "inf" || value == "-inf" {
			if f, err := strconv.ParseFloat(value.(string), 64); err == nil {
				floats[name] = f
			}
		}
	}
	plain := map[string]interface{}{}
	for name, value := range values {
		plain[name] = value
	}
	for at := 0; at < fields.NumField(); at++ {
		name := fields.Type().Field(at).Tag.Get("json")
		if fields.Field(at).Kind() == reflect.Float64 {
			fields.Field(at).SetFloat(floats[name])
			delete(plain, name)
		}
	}
	text, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < fields.NumField(); at++ {
		if field := fields.Field(at); field.CanSet() && (field.Kind() == reflect.Interface || field.Kind() == reflect.Map || field.Kind() == reflect.Slice) {
			settle(field)
		}
	}
}

// settle makes numbers of JSON into those of msgpack, deep inside.
func settle(field reflect.Value) {
	switch v := field.Interface().(type) {
	case map[string]interface{}:
		settled(v)
	case []map[string]interface{}:
		for _, each := range v {
			settled(each)
		}
	default:
		if field.Kind() == reflect.Interface && !field.IsNil() {
			field.Set(reflect.ValueOf(settled(v)))
		}
	}
}

func settled(value interface{}) interface{} {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []interface{}:
		for at := range v {
			v[at] = settled(v[at])
		}
	case map[string]interface{}:
		for key := range v {
			v[key] = settled(v[key])
		}
	}
	return value
}

func TestGoldenBytesAndStatedValuesAreOneRecord(t *testing.T) {
	for name, kept := range golden(t) {
		r := NewRecord(kept.ID)
		if r == nil || reflect.TypeOf(r).Elem().Name() != name {
			t.Fatalf("%s: schema %d met %T", name, kept.ID, r)
		}
		if s := r.Schema(); s.Version != kept.Version || s.Size != kept.Bytes {
			t.Errorf("%s: schema met %v", name, s)
		}
		for which, vector := range kept.Vectors {
			body, err := hex.DecodeString(vector.Hex)
			if err != nil {
				t.Fatal(err)
			}
			met, wanted := NewRecord(kept.ID), NewRecord(kept.ID)
			stated(t, wanted, vector.Values)
			if err := met.Read(body); err != nil {
				t.Errorf("%s %s: %v", name, which, err)
			}
			if !reflect.DeepEqual(met, wanted) {
				t.Errorf("%s %s met\n%#v, wanted\n%#v", name, which, met, wanted)
			}
			if which == "defaults" {
				byDefault := NewRecord(kept.ID)
				first := reflect.ValueOf(byDefault).Elem().Field(0)
				first.Set(reflect.ValueOf(7).Convert(first.Type()))
				if !reflect.DeepEqual(byDefault, wanted) {
					t.Errorf("%s by defaults met\n%#v, wanted\n%#v", name, byDefault, wanted)
				}
			}
			if again := wanted.Append([]byte{7}); !bytes.Equal(again[1:], body) {
				t.Errorf("%s %s wrote\n%x, wanted\n%x", name, which, again[1:], body)
			}
		}
	}
}

func TestLongerStridesAreReadAndShorterOnesRefused(t *testing.T) {
	q := NewQuote()
	q.ListingID, q.BidTicks = 7, -250
	body := q.Append(nil)
	long := append(append([]byte{}, body...), 1, 2, 3, 4, 5, 6, 7, 8)
	h := Header{SchemaID: SchemaQuote, Count: 2, Stride: uint16(len(long))}
	records, err := ReadRecords(h, append(append([]byte{}, long...), long...))
	if err != nil || len(records) != 2 || *records[1].(*Quote) != q {
		t.Fatalf("met %v %v", records, err)
	}
	h.Stride = 48
	if _, err := ReadRecords(h, body[:96-48]); err == nil || !strings.Contains(err.Error(), "wanted 56 or more") {
		t.Fatalf("met %v", err)
	}
}

func TestFramesThatLieAreRefused(t *testing.T) {
	q := NewQuote()
	whole := AppendFrame(nil, &q)
	for name, broken := range map[string][]byte{
		"cut": whole[:len(whole)-1], "count": set(whole, 40, 2), "none": set(whole, 40, 0), "size": set(whole, 0, 200),
	} {
		if EachFrame(broken, func(Header, []byte) error { return nil }) == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := EachFrame(whole, func(h Header, body []byte) error { return nil }); err != nil {
		t.Error(err)
	}
}

func set(frame []byte, at int, value byte) []byte {
	changed := append([]byte{}, frame...)
	changed[at] = value
	return changed
}

func TestMsgpackThatLiesIsRefused(t *testing.T) {
	for _, broken := range []string{"", "dd7fffffff", "df00000001a1", "c1", "92", "d9ff61", "8101" + "02", "c0c0", strings.Repeat("91", 40) + "c0"} {
		b, _ := hex.DecodeString(broken)
		if v, err := ReadMsgpack(b); err == nil {
			t.Errorf("%s gave %v", broken, v)
		}
	}
}
