package main

import (
	"slices"
)

// flow runs through functions as the runtime would, without their data: it follows what is read of a request from where it
// comes in to where it is used, through assignments, calls, branches and modules.
type flow struct {
	app    *codebase
	now    state
	jumped []state // at breaks and continues that were met
	result value   // of the function that is run
	// within are the functions that are being run, outermost first.
	within  []*function
	reads   map[readKey]*read
	known   map[callKey]value // of functions that were given nothing to follow
	readers map[*function]bool
	steps   int
	// used is told when input is used before it went through a schema.
	used func(*read, use)
}

type readKey struct {
	at   *node
	what target
}

type callKey struct {
	fn   *function
	args string
}

// use is where input is used.
type use struct {
	at      *node
	how     string // in words, with the code
	unclear bool   // it may well be a check, in a package that is not followed
}

const (
	// maxDepth is how many calls deep input is followed.
	maxDepth = 10
	// maxFlowSteps bounds the work on one function and what it calls.
	maxFlowSteps = 400_000
)

func newFlow(app *codebase, used func(*read, use)) *flow {
	return &flow{app: app, reads: map[readKey]*read{}, known: map[callKey]value{}, readers: app.readers(), used: used}
}

// start runs one function, or a module when fn is nil, from the outside. It reports whether it got to the end.
func (f *flow) start(m *module, fn *function) bool {
	f.now = state{values: map[*binding]value{}, checked: map[*read]bool{}}
	f.jumped, f.result, f.within, f.steps = nil, value{}, nil, 0
	if fn == nil {
		f.statements(m.body.kids)
	} else {
		f.run(fn, nil)
	}
	return f.steps <= maxFlowSteps
}

// run runs a function with the values that it is given and returns what it returns.
func (f *flow) run(fn *function, arguments []value) value {
	if slices.Contains(f.within, fn) || len(f.within) >= maxDepth {
		return from(arguments...) // whatever it does, the input is still in there
	}
	outer, outerJumps := f.result, f.jumped
	f.within, f.result, f.jumped = append(f.within, fn), value{}, nil
	for i, param := range fn.params {
		given := value{}
		switch {
		case param.is(kSpread) && i < len(arguments):
			given = from(arguments[i:]...)
		case i < len(arguments):
			given = arguments[i]
		case i == 0 && isFetchHandler(fn):
			given = value{is: theRequest}
		}
		f.assign(param, given)
	}
	f.statements(fn.body.kids)
	result := f.result
	f.within, f.result, f.jumped = f.within[:len(f.within)-1], outer, outerJumps
	return result
}

// isFetchHandler reports whether a function is called fetch in an object or a class, which is what gets requests.
func isFetchHandler(fn *function) bool {
	return fn.node.parent.is(kProperty) && fn.node.parent.text == "fetch"
}

// statements runs statements until one leaves, and reports whether one did.
func (f *flow) statements(list []*node) (left bool) {
	for _, one := range list {
		if one != nil && f.statement(one) {
			return true
		}
	}
	return false
}

// statement runs one statement and reports whether what follows it is not reached.
func (f *flow) statement(n *node) (left bool) {
	if f.steps++; f.steps > maxFlowSteps {
		return true
	}
	switch n.kind {
	case kBlock:
		return f.statements(n.kids)
	case kDeclare:
		for _, declarator := range n.kids {
			if declarator.kids[1] != nil {
				f.assign(declarator.kids[0], f.eval(declarator.kids[1]))
			}
		}
	case kIf:
		return f.branches(func() { f.eval(n.kids[0]) }, n.kids[1], n.kids[2])
	case kLoop:
		f.loop(n)
	case kForEach:
		f.forEach(n)
	case kReturn:
		if n.kids[0] != nil {
			f.result = mixed(f.result, f.eval(n.kids[0]))
		}
		return true
	case kThrow:
		f.eval(n.kids[0])
		return true
	case kTry:
		return f.try(n)
	case kSwitch:
		return f.choice(n)
	case kJump:
		f.jumped = append(f.jumped, f.now.clone())
		return true
	case kDeclareFn:
	case kDeclareType:
		f.eval(n.kids[1])
	default:
		f.eval(n)
	}
	return false
}

// branches runs a test, then each way on its own, and goes on with what is known on those that come back.
func (f *flow) branches(test func(), then, otherwise *node) (left bool) {
	test()
	before := f.now.clone()
	thenLeft := then != nil && f.statement(then)
	after := f.now
	f.now = before
	otherwiseLeft := otherwise != nil && f.statement(otherwise)
	switch {
	case thenLeft && otherwiseLeft:
		return true
	case thenLeft:
	case otherwiseLeft:
		f.now = after
	default:
		f.now = joined(after, f.now)
	}
	return false
}

// repeated runs a body as often as it takes for what one round leaves to be seen in the next.
func (f *flow) repeated(body func()) {
	outer := f.jumped
	for range 2 {
		before := f.now.clone()
		f.jumped = nil
		body()
		f.now = joined(before, f.now)
		for _, at := range f.jumped {
			f.now = joined(f.now, at)
		}
	}
	f.jumped = outer
}

func (f *flow) loop(n *node) {
	if before := n.kids[0]; before != nil {
		f.statement(before)
	}
	f.repeated(func() {
		if n.text != "do" && n.kids[1] != nil {
			f.eval(n.kids[1])
		}
		if n.kids[3] != nil {
			f.statement(n.kids[3])
		}
		for _, after := range n.kids[1:3] {
			if after != nil {
				f.eval(after)
			}
		}
	})
}

func (f *flow) forEach(n *node) {
	over := f.asInput(f.eval(n.kids[1]), n.kids[1])
	target := n.kids[0]
	if target.is(kDeclare) {
		target = target.kids[0].kids[0]
	}
	each := over.element()
	if n.text == "in" {
		each = from(over)
	}
	f.repeated(func() {
		f.assign(target, each)
		if n.kids[2] != nil {
			f.statement(n.kids[2])
		}
	})
}

// element is what any element of a value can be.
func (v value) element() value {
	all := value{raw: v.raw, is: v.is & itsBytes}
	for _, part := range v.parts {
		all = mixed(all, part)
	}
	return all
}

func (f *flow) try(n *node) (left bool) {
	before := f.now.clone()
	left = f.statement(n.kids[0])
	if n.kids[2] != nil {
		after := f.now
		f.now = joined(before, after.clone()) // it may have come from anywhere in the block
		if n.kids[1] != nil {
			f.assign(n.kids[1], value{})
		}
		caughtLeft := f.statement(n.kids[2])
		switch {
		case left:
			left = caughtLeft
		case caughtLeft:
			f.now = after
		default:
			f.now = joined(after, f.now)
		}
	}
	if n.kids[3] != nil && f.statement(n.kids[3]) {
		return true
	}
	return left
}

func (f *flow) choice(n *node) (left bool) {
	f.eval(n.kids[0])
	outer := f.jumped
	f.jumped = nil
	before, complete, reached := f.now.clone(), false, false
	for _, one := range n.kids[1:] {
		if test := one.kids[0]; test != nil {
			f.eval(test)
		} else {
			complete = true
		}
		if reached {
			f.now = joined(before, f.now) // it falls through
		} else {
			f.now = before.clone()
		}
		reached = !f.statements(one.kids[1:])
	}
	ends := f.jumped
	if reached {
		ends = append(ends, f.now)
	}
	if !complete {
		ends = append(ends, before)
	}
	f.jumped = outer
	if len(ends) == 0 {
		return true
	}
	f.now = ends[0]
	for _, end := range ends[1:] {
		f.now = joined(f.now, end)
	}
	return false
}

// assign gives a value to a target: a name, a pattern, or a member of something.
func (f *flow) assign(target *node, v value) {
	if target == nil {
		return
	}
	switch target.kind {
	case kName:
		if target.binding != nil && len(f.within) > 0 && target.binding.module.top.names[target.text] == target.binding {
			f.use(v, use{at: target, how: "is kept in " + quoted(target) + ", beyond the request,"})
		}
		switch {
		case target.binding == nil:
		case v.isNothing():
			delete(f.now.values, target.binding)
		default:
			f.now.values[target.binding] = v
		}
	case kDefault:
		if v.isNothing() || len(v.raw) > 0 || v.is != 0 {
			v = mixed(v, f.eval(target.kids[1]))
		}
		f.assign(target.kids[0], v)
	case kSpread:
		f.assign(target.kids[0], v)
	case kObjectPattern:
		for _, kid := range target.kids {
			switch kid.kind {
			case kProperty:
				f.assign(kid.kids[0], f.property(v, kid.text, kid))
			case kIndexed:
				f.assign(kid.kids[1], from(v))
			default:
				f.assign(kid, v)
			}
		}
	case kArrayPattern:
		for i, kid := range target.kids {
			part, known := v.parts[itoa(i)]
			if !known {
				part = f.asInput(v, target).element()
			}
			f.assign(kid, part)
		}
	case kMember:
		f.assignMember(target, target.text, v)
	case kIndex:
		f.eval(target.kids[1])
		f.assignMember(target, "", v)
	default: // nothing else can be assigned to
	}
}

// assignMember keeps a value in an object that the function made; what is kept elsewhere may be used by anybody.
func (f *flow) assignMember(target *node, name string, v value) {
	object := target.kids[0]
	if object.is(kName) && object.binding != nil && object.binding.role == aVariable {
		held := f.now.values[object.binding]
		f.now.values[object.binding] = mixed(held, value{known: held.known, parts: map[string]value{name: v}})
		return
	}
	f.eval(object)
	f.use(v, use{at: target, how: "is kept in " + quoted(target)})
}

// use reports input that is used unchecked.
func (f *flow) use(v value, where use) {
	for _, r := range v.reads() {
		if !f.now.checked[r] {
			f.used(r, where)
		}
	}
}
