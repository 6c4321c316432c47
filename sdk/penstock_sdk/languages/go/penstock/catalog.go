// SPDX-License-Identifier: Apache-2.0

package penstock

import "sort"

// catalog is what the kernel has announced: names, and what the ids of zones, contracts and listings stand for.
type catalog struct {
	ids       map[IdKind]map[string]uint32
	names     map[IdKind]map[uint32]string
	zones     map[uint32]*ZoneDefinition
	contracts map[uint32]*ContractDefinition
	listings  map[uint32]*ListingDefinition
}

func newCatalog() catalog {
	return catalog{
		map[IdKind]map[string]uint32{}, map[IdKind]map[uint32]string{}, map[uint32]*ZoneDefinition{},
		map[uint32]*ContractDefinition{}, map[uint32]*ListingDefinition{},
	}
}

func (c *catalog) learn(r Record) {
	switch event := r.(type) {
	case *Interned:
		if c.ids[event.Kind] == nil {
			c.ids[event.Kind], c.names[event.Kind] = map[string]uint32{}, map[uint32]string{}
		}
		c.ids[event.Kind][event.Name] = uint32(event.ID)
		c.names[event.Kind][uint32(event.ID)] = event.Name
	case *ZoneDefinition:
		c.zones[uint32(event.ZoneID)] = event
	case *ContractDefinition:
		c.contracts[uint32(event.ContractID)] = event
	case *ListingDefinition:
		c.listings[uint32(event.ListingID)] = event
	}
}

// learnFrames learns what packed frames hold, and passes over what it has no use for.
func (c *catalog) learnFrames(frames []byte) error {
	return EachFrame(frames, func(h Header, body []byte) error {
		switch h.SchemaID {
		case SchemaInterned, SchemaZoneDefinition, SchemaContractDefinition, SchemaListingDefinition:
			records, err := ReadRecords(h, body)
			for _, each := range records {
				c.learn(each)
			}
			return err
		}
		return nil
	})
}

// frames returns all that is known, for a snapshot: the same bytes for the same knowledge.
func (c *catalog) frames() []byte {
	var out []byte
	for kind := IdKindPlugin; int(kind) <= 64; kind++ {
		for _, id := range sortedIDs(len(c.names[kind]), func(do func(uint32)) {
			for id := range c.names[kind] {
				do(id)
			}
		}) {
			out = AppendFrame(out, &Interned{SourceNs: Absent, RecvNs: Absent, Kind: kind, ID: int64(id), Name: c.names[kind][id]})
		}
	}
	for _, id := range sortedIDs(len(c.zones), func(do func(uint32)) {
		for id := range c.zones {
			do(id)
		}
	}) {
		out = AppendFrame(out, c.zones[id])
	}
	for _, id := range sortedIDs(len(c.contracts), func(do func(uint32)) {
		for id := range c.contracts {
			do(id)
		}
	}) {
		out = AppendFrame(out, c.contracts[id])
	}
	for _, id := range sortedIDs(len(c.listings), func(do func(uint32)) {
		for id := range c.listings {
			do(id)
		}
	}) {
		out = AppendFrame(out, c.listings[id])
	}
	return out
}

func sortedIDs(n int, each func(do func(uint32))) []uint32 {
	ids := make([]uint32, 0, n)
	each(func(id uint32) { ids = append(ids, id) })
	sort.Slice(ids, func(a, b int) bool { return ids[a] < ids[b] })
	return ids
}
