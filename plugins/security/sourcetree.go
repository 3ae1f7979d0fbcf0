package main

// kind says what a node is.
type kind int

// The kinds of nodes. After each: what text holds, and what its kids are. A kid is nil only where that is said.
const (
	kOther kind = iota // anything whose parts may matter and that itself does not; kids: its parts

	kText        // text: the value
	kNumber      // text: as written
	kPlain       // true, false, null, undefined; text: as written
	kRegexp      // text: as written
	kName        // text: the name; binding is set once scopes are known, nil for globals
	kThis        //
	kTemplate    // texts: what stands between the kids, one more than kids; kids: the expressions
	kTagged      // kids: tag, template
	kMember      // text: the property; kids: object
	kIndex       // kids: object, key
	kCall        // kids: callee, then arguments
	kNew         // kids: callee, then arguments
	kSpread      // kids: what is spread; in a pattern: where the rest goes
	kArray       // kids: elements
	kObject      // kids: kProperty, kIndexed or kSpread
	kProperty    // text: the key; kids: value
	kIndexed     // kids: key, value
	kFunction    // fn
	kClass       // text: the name, or ""; kids: what it extends or nil, then kProperty, kIndexed (fields, methods) and static blocks
	kAssign      // text: operator; kids: target, value
	kBinary      // text: operator; kids: left, right
	kLogical     // text: &&, || or ??; kids: left, right
	kUnary       // text: operator; kids: operand
	kUpdate      // text: ++ or --; kids: operand
	kConditional // kids: test, then, otherwise
	kSequence    // kids: expressions
	kAwait       // kids: what is awaited
	kYield       // kids: what is yielded or nil

	kArrayPattern  // kids: targets, nil where one is left out
	kObjectPattern // kids: kProperty, kIndexed or kSpread, with targets as values
	kDefault       // kids: target, value when there is none

	kBlock       // kids: statements
	kDeclare     // text: var, let or const; kids: kDeclarator
	kDeclarator  // kids: target, value or nil
	kIf          // kids: test, then, otherwise or nil
	kLoop        // kids: before, test, after (each may be nil), body
	kForEach     // text: of or in; kids: target or kDeclare, what is gone through, body
	kReturn      // kids: value or nil
	kThrow       // kids: value
	kTry         // kids: block, catch's target, catch's block, finally's block (each but the first may be nil)
	kSwitch      // kids: what is compared, then kCase
	kCase        // kids: test or nil, then statements
	kJump        // text: break or continue
	kDeclareFn   // kids: kName, kFunction
	kDeclareType // kids: kName, kClass
)

// node is one part of a module, in a form that is smaller than JavaScript: what means the same looks the same. Optional
// chains are plain members, a["b"] is a.b, an arrow's expression is a return.
type node struct {
	kind   kind
	text   string
	texts  []string
	kids   []*node
	parent *node
	at     int // offset in the module's code
	end    int
	fn     *function
	module *module
	// binding is what a kName stands for; nil when the module does not say.
	binding *binding
	read    bool // of a kName: it is read, not declared or written
}

// function is a function's parameters and body, whichever way it was written.
type function struct {
	node   *node // the kFunction
	name   string
	params []*node // targets; a rest parameter is a kSpread
	body   *node   // a kBlock
	// class is set on methods and on functions in fields.
	class  *node
	method string
	// generator says that it yields, so that its returns are not its values.
	generator bool
	// returns are the values that it returns; nil for a bare return.
	returns []*node
}

// kid returns the i-th kid, or nil.
func (n *node) kid(i int) *node {
	if n == nil || i >= len(n.kids) {
		return nil
	}
	return n.kids[i]
}

// is reports whether n is there and of that kind.
func (n *node) is(k kind) bool { return n != nil && n.kind == k }

// isGlobal reports whether n is a name that nothing in the module declares.
func (n *node) isGlobal(name string) bool { return n.is(kName) && n.text == name && n.binding == nil }

// isGlobalMember reports whether n is Object.property with a global Object.
func (n *node) isGlobalMember(object, property string) bool {
	return n.is(kMember) && n.text == property && n.kids[0].isGlobal(object)
}

// walk visits n and everything below it, outer first; visit says whether to go below.
func (n *node) walk(visit func(*node) bool) {
	if n == nil || !visit(n) {
		return
	}
	for _, kid := range n.kids {
		kid.walk(visit)
	}
	if n.fn != nil {
		for _, param := range n.fn.params {
			param.walk(visit)
		}
		n.fn.body.walk(visit)
	}
}

// enclosing returns the function that n stands in, or nil at the top of a module.
func (n *node) enclosing() *function {
	for above := n.parent; above != nil; above = above.parent {
		if above.kind == kFunction {
			return above.fn
		}
	}
	return nil
}

// arguments are those of a kCall or kNew.
func (n *node) arguments() []*node { return n.kids[1:] }

// code is the node's own text, as short as can be shown in a line.
func (n *node) code() string {
	const longest = 60
	return shortened(n.module.code[max(n.at, 0):min(max(n.end, n.at), len(n.module.code))], longest)
}

func shortened(text string, longest int) string {
	line := make([]rune, 0, longest)
	space := false
	for _, char := range text {
		if char == '\n' || char == '\t' || char == ' ' || char == '\r' {
			space = len(line) > 0
			continue
		}
		if space {
			line, space = append(line, ' '), false
		}
		if len(line) >= longest {
			return string(line) + "…"
		}
		line = append(line, char)
	}
	return string(line)
}
