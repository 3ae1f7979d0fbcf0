package main

import (
	"slices"
	"strings"
)

// eval returns what is known of an expression's value, and reports what is used on the way.
func (f *flow) eval(n *node) value {
	if f.steps++; f.steps > maxFlowSteps {
		return value{}
	}
	switch n.kind {
	case kText, kNumber, kPlain, kRegexp, kFunction:
		return something
	case kName:
		return f.name(n)
	case kTemplate:
		return f.computed(n.kids)
	case kTagged:
		return f.tagged(n)
	case kMember:
		return f.property(f.eval(n.kids[0]), n.text, n)
	case kIndex:
		object := f.eval(n.kids[0])
		f.eval(n.kids[1])
		return from(object) // what a key finds in a list of the app's own is the app's own
	case kCall:
		return f.call(n)
	case kNew:
		return f.construction(n)
	case kSpread:
		return f.asInput(f.eval(n.kids[0]), n)
	case kArray:
		return f.array(n)
	case kObject:
		return f.object(n)
	case kClass:
		f.class(n)
		return something
	case kAssign:
		return f.assignment(n)
	case kBinary:
		values := f.computed(n.kids)
		switch n.text {
		case "==", "!=", "===", "!==", "<", ">", "<=", ">=", "in", "instanceof":
			return something
		}
		return values
	case kLogical, kConditional:
		return f.either(n)
	case kUnary:
		operand := f.eval(n.kids[0])
		if n.text == "+" || n.text == "-" || n.text == "~" {
			return operand
		}
		return something
	case kSequence:
		last := value{}
		for _, kid := range n.kids {
			last = f.eval(kid)
		}
		return last
	case kAwait:
		return f.eval(n.kids[0])
	case kYield:
		if n.kids[0] != nil {
			f.result = mixed(f.result, f.eval(n.kids[0]))
		}
		return value{}
	case kBlock: // a class's static block
		f.statements(n.kids)
		return something
	default:
		for _, kid := range n.kids {
			if kid != nil {
				f.eval(kid)
			}
		}
		return value{}
	}
}

func (f *flow) name(n *node) value {
	var v value
	if n.binding != nil {
		held, known := f.now.values[n.binding]
		v = held
		if !known && n.binding.role != aParameter {
			v = f.atTop(n)
		}
	}
	if v.isNothing() && isRequestName(n.text) && !f.isImport(n) {
		return value{is: theRequest}
	}
	return v
}

func (f *flow) isImport(n *node) bool { return n.binding != nil && n.binding.role == anImport }

// atTop knows names that are not set in what is run: constants of the module, functions, imports.
func (f *flow) atTop(n *node) value {
	switch f.app.valueOf(n).kind {
	case kText, kNumber, kPlain, kRegexp, kFunction, kClass, kArray, kObject, kNew, kTemplate:
		return something
	default:
		return value{}
	}
}

// computed is what expressions are made into when they are put together.
func (f *flow) computed(kids []*node) value {
	var all []value
	for _, kid := range kids {
		all = append(all, f.asInput(f.eval(kid), kid))
	}
	return from(all...)
}

func (f *flow) tagged(n *node) value {
	if fn := f.app.functionOf(n.kids[0]); fn != nil {
		arguments := []value{something}
		for _, kid := range n.kids[1].kids {
			arguments = append(arguments, f.eval(kid))
		}
		return f.anchored(f.run(fn, arguments), n, arguments)
	}
	v := f.computed(n.kids[1].kids)
	if n.kids[0].isGlobalMember("String", "raw") {
		return v
	}
	f.use(v, use{at: n, how: "is put into " + quoted(n)})
	return value{}
}

func (f *flow) array(n *node) value {
	made := value{known: true, parts: map[string]value{}}
	for i, kid := range n.kids {
		v := f.eval(kid)
		if kid.is(kSpread) {
			made.raw = distinct(append(slices.Clone(made.raw), v.reads()...))
			continue
		}
		made.parts[itoa(i)] = v
	}
	return made
}

func (f *flow) object(n *node) value {
	made := value{known: true, parts: map[string]value{}}
	for _, kid := range n.kids {
		switch kid.kind {
		case kProperty:
			made.parts[kid.text] = f.eval(kid.kids[0])
		case kIndexed:
			made.raw = distinct(append(slices.Clone(made.raw), from(f.eval(kid.kids[0]), f.eval(kid.kids[1])).raw...))
		default:
			spread := f.eval(kid.kids[0])
			made.raw = distinct(append(slices.Clone(made.raw), spread.raw...))
			for name, part := range spread.parts {
				made.parts[name] = part
			}
		}
	}
	return made
}

// class runs what a class does when it is made; its methods are run on their own.
func (f *flow) class(n *node) {
	for _, kid := range n.kids[1:] {
		if kid.is(kBlock) {
			f.statements(kid.kids)
		} else if last := kid.kids[len(kid.kids)-1]; !last.is(kFunction) {
			f.eval(last)
		}
	}
}

func (f *flow) assignment(n *node) value {
	target, v := n.kids[0], f.eval(n.kids[1])
	if n.text != "=" {
		before := f.eval(target)
		if strings.HasSuffix(n.text, "||=") || strings.HasSuffix(n.text, "??=") || strings.HasSuffix(n.text, "&&=") {
			v = mixed(before, v)
		} else {
			v = from(before, f.asInput(v, n.kids[1]))
		}
	}
	f.assign(target, v)
	return v
}

// either evaluates &&, ||, ?? and ?:, of which not every part is run.
func (f *flow) either(n *node) value {
	first := f.eval(n.kids[0])
	before := f.now.clone()
	second := f.eval(n.kids[1])
	if n.kind == kLogical {
		f.now = joined(before, f.now)
		return mixed(first, second)
	}
	after := f.now
	f.now = before
	third := f.eval(n.kids[2])
	f.now = joined(after, f.now)
	return mixed(second, third)
}
