package main

import (
	"slices"
	"strings"
)

// schemaPackages are libraries whose functions check what they are given.
var schemaPackages = []string{
	"zod", "valibot", "superstruct", "arktype", "yup", "joi", "ajv", "typia", "effect", "io-ts", "runtypes", "myzod", "zod-form-data",
	"@sinclair/typebox", "@cfworker/json-schema", "@hapi/joi", "@vinejs/vine", "ts-interface-checker", "decoders", "sury", "@badrap/valita", "typebox",
}

// checks are the methods by which schemas check.
var checks = []string{
	"parse", "safeParse", "parseAsync", "safeParseAsync", "spa", "validate", "validateSync", "validateAsync", "assert", "Check", "Parse", "Decode",
	"decodeUnknown", "decodeUnknownSync", "decodeUnknownEither", "decodeUnknownPromise", "allows", "mask",
	"constructEvent", "constructEventAsync", "verify", // what somebody signed whom the app trusts
}

// isSchemaPackage also knows zod/v4 and zod/mini.
func isSchemaPackage(name string) bool {
	return slices.ContainsFunc(schemaPackages, func(known string) bool { return name == known || strings.HasPrefix(name, known+"/") })
}

// isCheck reports whether a call checks its arguments by a schema. Without types it goes by where the callee comes from
// and, for methods of what comes from nowhere that is known, by their names.
func (s *codebase) isCheck(callee *node) bool {
	if s.isCheckingFunction(callee) {
		return true
	}
	if !callee.is(kMember) || !slices.Contains(checks, callee.text) {
		return false
	}
	object := callee.kids[0]
	if object.is(kName) && object.binding == nil && slices.Contains(passingObjects, object.text) {
		return false // JSON.parse, Date.parse, URL.parse
	}
	if callee.text == "parse" || callee.text == "verify" {
		// qs.parse and path.parse: a package as a whole, which is no library of schemas.
		found := s.definition(object)
		return found.external == "" || isSchemaPackage(found.external) || (found.name != "default" && found.name != "*")
	}
	return true
}

// isCheckingFunction knows functions of schema libraries, and those that such a library made: ajv.compile(…), type({…}).
func (s *codebase) isCheckingFunction(callee *node) bool {
	if found := s.definition(callee); found.external != "" {
		return isSchemaPackage(found.external)
	}
	made := s.valueOf(callee)
	if !made.is(kCall) || made == callee {
		return false
	}
	switch maker := made.kids[0]; {
	case maker.is(kMember) && maker.text == "compile":
		return true
	case s.definition(maker).external == "arktype":
		return true
	case maker.is(kMember) && s.definition(maker.kids[0]).external == "typia":
		return true
	default:
		return false
	}
}

// mayBeCheck reports whether a function of a package sounds as if it checked what it is given.
func (s *codebase) mayBeCheck(callee *node) bool {
	found := s.definition(callee)
	if found.external == "" {
		return false
	}
	name := strings.ToLower(orElse(found.name, found.external))
	if name == "default" && callee.is(kName) {
		name = strings.ToLower(callee.text)
	}
	return name != "parse" && slices.ContainsFunc([]string{"valid", "assert", "check", "parse", "ensure", "sanitize"}, func(word string) bool { return strings.Contains(name, word) })
}

// check marks what a schema is given as checked, so that type guards and assertions count: when a whole read is given, not
// when a part of it is.
func (f *flow) check(arguments []*node, values []value) value {
	for i, argument := range arguments {
		if !isWhole(argument) {
			continue
		}
		for _, r := range values[i].raw {
			f.now.checked[r] = true
		}
	}
	return value{}
}

// isWhole reports whether an expression is all of what was read, perhaps in another form.
func isWhole(n *node) bool {
	switch n.kind {
	case kName:
		return true
	case kAwait:
		return isWhole(n.kids[0])
	case kCall:
		callee := n.kids[0]
		if callee.isGlobalMember("JSON", "parse") || callee.isGlobalMember("Object", "fromEntries") {
			return len(n.kids) > 1 && isWhole(n.kids[1])
		}
		return callee.is(kMember) && callee.text == "entries" && isWhole(callee.kids[0])
	default:
		return false
	}
}
