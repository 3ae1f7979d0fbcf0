package main

import (
	"maps"
	"slices"
)

// value is what the input gate knows of a value: whether it is the request or a part of it, and which reads of unchecked
// input it comes from. Values are not changed once they are made.
type value struct {
	is roles
	// known says that it is something else than the request, whatever its name.
	known bool
	raw   []*read
	// parts are the properties of an object, or the elements of an array, that is written out.
	parts map[string]value
}

// roles are what a value is in a request.
type roles int

const (
	theRequest roles = 1 << iota // a Request, or Hono's c.req
	itsAddress                   // its URL, as text or parsed
	itsSearch                    // the URL's search, as text
	itsQuery                     // the parsed search: URLSearchParams
	itsBytes                     // its body before it is decoded
)

// read is one place where unchecked input comes in.
type read struct {
	at   *node
	what target
}

// target is the part of a request that is read, in the words of Hono's validators.
type target string

const (
	targetJSON  target = "json"
	targetText  target = "text"
	targetForm  target = "form"
	targetQuery target = "query"
)

var something = value{known: true}

func (v value) isNothing() bool { return v.is == 0 && !v.known && len(v.raw) == 0 && v.parts == nil }

// reads are all reads that the value or a part of it comes from.
func (v value) reads() []*read {
	if v.parts == nil {
		return v.raw
	}
	all := slices.Clone(v.raw)
	for _, name := range slices.Sorted(maps.Keys(v.parts)) {
		all = append(all, v.parts[name].reads()...)
	}
	return distinct(all)
}

func distinct(reads []*read) []*read {
	seen := make(map[*read]bool, len(reads))
	return slices.DeleteFunc(reads, func(r *read) bool {
		known := seen[r]
		seen[r] = true
		return known
	})
}

// mixed is a value that may be either, or is made of both.
func mixed(a, b value) value {
	switch {
	case a.isNothing():
		return b
	case b.isNothing():
		return a
	}
	made := value{is: a.is | b.is, known: a.known && b.known, raw: distinct(slices.Concat(a.raw, b.raw))}
	if a.parts != nil || b.parts != nil {
		made.parts = maps.Clone(a.parts)
		if made.parts == nil {
			made.parts = map[string]value{}
		}
		for name, part := range b.parts {
			made.parts[name] = mixed(made.parts[name], part)
		}
	}
	return made
}

// from is a value that is computed from others and is none of them.
func from(values ...value) value {
	var all []*read
	for _, v := range values {
		all = append(all, v.reads()...)
	}
	return value{raw: distinct(all)}
}

// state is what is known at one point of a run through a function.
type state struct {
	values  map[*binding]value
	checked map[*read]bool // reads that went through a schema
}

func (s state) clone() state { return state{maps.Clone(s.values), maps.Clone(s.checked)} }

// joined is what is known where two ways meet.
func joined(a, b state) state {
	made := state{values: maps.Clone(a.values), checked: map[*read]bool{}}
	for name, v := range b.values {
		made.values[name] = mixed(made.values[name], v)
	}
	for r := range a.checked {
		if b.checked[r] {
			made.checked[r] = true
		}
	}
	return made
}
