package main

import (
	"slices"
	"strings"
)

// readAt is the read at a node. Reading again makes it unchecked again.
func (f *flow) readAt(n *node, what target) value {
	if f.validatedAhead(n, what) {
		return value{}
	}
	key := readKey{n, what}
	r := f.reads[key]
	if r == nil {
		r = &read{n, what}
		f.reads[key] = r
	}
	delete(f.now.checked, r)
	return value{raw: []*read{r}}
}

// asInput turns a request's query, which is read by being gone through, into what was read.
func (f *flow) asInput(v value, n *node) value {
	if v.is&itsQuery != 0 {
		return mixed(f.readAt(n, targetQuery), value{raw: v.raw})
	}
	return v
}

// isRequestName reports whether a value of which nothing else is known is a request by its name.
func isRequestName(name string) bool {
	switch name {
	case "request", "req", "_request", "_req", "httpRequest":
		return true
	default:
		return false
	}
}

// property returns what a property of a value is. at is where it is read.
func (f *flow) property(v value, name string, at *node) value {
	if part, known := v.parts[name]; known {
		return part
	}
	switch {
	case len(v.raw) > 0:
		if name == "length" || name == "size" {
			return something
		}
		return value{raw: v.raw}
	case v.is&theRequest != 0:
		return f.requestProperty(name, at)
	case v.is&itsAddress != 0:
		switch name {
		case "searchParams":
			return value{is: itsQuery}
		case "search":
			return value{is: itsSearch}
		}
		return something
	case v.is&itsBytes != 0:
		return value{is: itsBytes}
	case v.known:
		return value{}
	case isRequestName(name):
		return value{is: theRequest}
	case name == "searchParams":
		return value{is: itsQuery}
	}
	return value{}
}

func (f *flow) requestProperty(name string, at *node) value {
	called := at.parent.is(kCall) && at.parent.kids[0] == at
	switch {
	case name == "url":
		return value{is: itsAddress}
	case name == "body":
		return value{is: itsBytes}
	case name == "raw":
		return value{is: theRequest}
	case name == "query" && !called: // itty-router
		return f.readAt(at, targetQuery)
	case name == "content" && !called: // itty-router with withContent
		return f.readAt(at, targetJSON)
	}
	return value{}
}

// reading knows the methods by which a request, its query and its bytes are read; ok is false for other methods.
func (f *flow) reading(of value, method string, call *node) (v value, ok bool) {
	switch {
	case of.is&theRequest != 0:
		return f.requestMethod(method, call)
	case of.is&itsQuery != 0:
		return f.queryMethod(method, call)
	case of.is&itsBytes != 0:
		switch method {
		case "json":
			return f.readAt(call, targetJSON), true
		case "text":
			return f.readAt(call, targetText), true
		case "getReader", "read", "pipeThrough", "tee", "slice", "arrayBuffer", "bytes", "stream":
			return value{is: itsBytes}, true
		}
	case of.is&(itsAddress|itsSearch) != 0:
		return something, true // text methods: what they give is a path, an origin or a test
	}
	return value{}, false
}

func (f *flow) requestMethod(method string, call *node) (value, bool) {
	switch method {
	case "json":
		return f.readAt(call, targetJSON), true
	case "text":
		return f.readAt(call, targetText), true
	case "formData", "parseBody":
		return f.readAt(call, targetForm), true
	case "query", "queries":
		return f.readAt(call, targetQuery), true
	case "arrayBuffer", "blob", "bytes":
		return value{is: itsBytes}, true
	case "clone":
		return value{is: theRequest}, true
	case "valid", "param", "header": // checked by a validator; a path's pattern; not a body or a query
		return value{}, true
	}
	return value{}, false
}

func (f *flow) queryMethod(method string, call *node) (value, bool) {
	switch method {
	case "get", "getAll", "entries", "keys", "values", "toString":
		return f.readAt(call, targetQuery), true
	case "forEach":
		for _, argument := range call.arguments() {
			f.callback(argument, f.readAt(call, targetQuery))
		}
		return something, true
	}
	return something, true // has, set, delete, sort, size
}

// validatedAhead reports whether a validator of Hono's stands before the handler in which a read is:
// app.post('/x', zValidator('json', schema), handler).
func (f *flow) validatedAhead(n *node, what target) bool {
	for fn := n.enclosing(); fn != nil; fn = fn.node.enclosing() {
		if hasValidator(fn.node.parent, fn.node, what) {
			return true
		}
		calls, handed := 0, f.app.namesOf(fn)
		for _, name := range handed {
			if !hasValidator(name.parent, name, what) {
				break
			}
			calls++
		}
		if calls > 0 && calls == len(handed) {
			return true
		}
	}
	return false
}

// namesOf are the places where a function is read by its name.
func (s *codebase) namesOf(fn *function) []*node {
	switch at := fn.node.parent; {
	case at.is(kDeclareFn):
		return s.uses[at.kids[0].binding]
	case at.is(kDeclarator) && at.kids[0].is(kName):
		return s.uses[at.kids[0].binding]
	default:
		return nil
	}
}

// hasValidator reports whether a call hands a validator of what over, before the handler.
func hasValidator(call, handler *node, what target) bool {
	if !call.is(kCall) {
		return false
	}
	for _, argument := range call.arguments() {
		if argument == handler {
			return false
		}
		if argument.is(kCall) && isValidatorName(argument.kids[0].text) && argument.kid(1).is(kText) {
			if checks := target(argument.kids[1].text); checks == what || (checks == targetJSON && what == targetText) {
				return true
			}
		}
	}
	return false
}

// isValidatorName knows zValidator, vValidator, sValidator, validator and their like.
func isValidatorName(name string) bool {
	return name == "validator" || strings.HasSuffix(name, "Validator")
}

// readingNames are the properties without which nothing of a request can be read.
var readingNames = []string{
	"json", "text", "formData", "parseBody", "query", "queries", "content", "search", "searchParams", "decode",
}

// readers are the functions that may read a request, themselves or through others that they name. All others are passed
// over unless they are given input.
func (s *codebase) readers() map[*function]bool {
	reading := map[*function]bool{}
	named := map[*function][]*function{} // by whom each is named
	var found []*function
	mark := func(fn *function) {
		if fn != nil && !reading[fn] {
			reading[fn] = true
			found = append(found, fn)
		}
	}
	for _, m := range s.modules {
		m.body.walk(func(n *node) bool {
			in := n.enclosing()
			switch {
			case in == nil:
			case (n.kind == kMember || n.kind == kProperty) && slices.Contains(readingNames, n.text):
				mark(in)
			case n.kind == kName && isValidatorName(n.text):
				mark(in)
			case n.kind == kFunction:
				named[n.fn] = append(named[n.fn], in)
			}
			if in != nil && (n.kind == kName || n.kind == kMember) {
				if fn := s.functionOf(n); fn != nil {
					named[fn] = append(named[fn], in)
				} else if n.kind == kMember {
					for _, fn := range s.methodsNamed(n.text) {
						named[fn] = append(named[fn], in)
					}
				}
			}
			return true
		})
	}
	for len(found) > 0 {
		fn := found[len(found)-1]
		found = found[:len(found)-1]
		for _, by := range named[fn] {
			mark(by)
		}
	}
	return reading
}

// isWorth reports whether running a function can show anything: it may read, or is given something of a request.
func (f *flow) isWorth(fn *function, given []value) bool {
	return f.readers[fn] || slices.ContainsFunc(given, value.isOfRequest)
}

// isOfRequest reports whether a value or a part of it is input or the request.
func (v value) isOfRequest() bool {
	if v.is != 0 || len(v.raw) > 0 {
		return true
	}
	for _, part := range v.parts {
		if part.isOfRequest() {
			return true
		}
	}
	return false
}
