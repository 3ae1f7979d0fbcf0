package main

import (
	"github.com/grafana/sobek/ast"
	"github.com/grafana/sobek/token"
)

// lowerProgram turns the parser's tree into nodes, and notes what the module imports and exports.
func lowerProgram(m *module, program *ast.Program) {
	l := lowerer{module: m}
	m.body = &node{kind: kBlock, module: m, end: len(m.code)}
	m.body.kids = l.statements(program.Body)
	m.body.adopt()
}

// adopt sets the parents of everything below n.
func (n *node) adopt() {
	each := func(kid *node) {
		if kid != nil {
			kid.parent = n
			kid.adopt()
		}
	}
	for _, kid := range n.kids {
		each(kid)
	}
	if n.fn != nil {
		for _, param := range n.fn.params {
			each(param)
		}
		each(n.fn.body)
	}
}

// lowerer remembers where in the tree it is.
type lowerer struct {
	module *module
	fn     *function // the innermost
}

func (l *lowerer) node(k kind, of ast.Node, text string, kids ...*node) *node {
	made := &node{kind: k, text: text, kids: kids, module: l.module}
	if of != nil {
		made.at, made.end = int(of.Idx0())-1, int(of.Idx1())-1
	}
	return made
}

func (l *lowerer) statements(list []ast.Statement) []*node {
	var kids []*node
	for _, statement := range list {
		if kid := l.statement(statement); kid != nil {
			kids = append(kids, kid)
		}
	}
	return kids
}

func (l *lowerer) block(of *ast.BlockStatement) *node {
	if of == nil {
		return nil
	}
	return l.node(kBlock, of, "", l.statements(of.List)...)
}

// statement returns nil for one that says nothing.
func (l *lowerer) statement(of ast.Statement) *node {
	switch s := of.(type) {
	case nil, *ast.EmptyStatement, *ast.DebuggerStatement:
		return nil
	case *ast.BlockStatement:
		return l.block(s)
	case *ast.BranchStatement:
		return l.node(kJump, nil, s.Token.String())
	case *ast.DoWhileStatement:
		return l.node(kLoop, nil, "do", nil, l.expression(s.Test), nil, l.statement(s.Body))
	case *ast.WhileStatement:
		return l.node(kLoop, nil, "", nil, l.expression(s.Test), nil, l.statement(s.Body))
	case *ast.ForStatement:
		return l.node(kLoop, nil, "", l.loopStart(s.Initializer), l.expression(s.Test), l.expression(s.Update), l.statement(s.Body))
	case *ast.ForInStatement:
		return l.node(kForEach, nil, "in", l.forInto(s.Into), l.expression(s.Source), l.statement(s.Body))
	case *ast.ForOfStatement:
		return l.node(kForEach, nil, "of", l.forInto(s.Into), l.expression(s.Source), l.statement(s.Body))
	case *ast.ExpressionStatement:
		return l.expression(s.Expression)
	case *ast.IfStatement:
		return l.node(kIf, nil, "", l.expression(s.Test), l.statement(s.Consequent), l.statement(s.Alternate))
	case *ast.LabelledStatement:
		return l.statement(s.Statement)
	case *ast.ReturnStatement:
		value := l.expression(s.Argument)
		if l.fn != nil {
			l.fn.returns = append(l.fn.returns, value)
		}
		return l.node(kReturn, nil, "", value)
	case *ast.SwitchStatement:
		made := l.node(kSwitch, nil, "", l.expression(s.Discriminant))
		for _, one := range s.Body {
			made.kids = append(made.kids, l.node(kCase, nil, "", append([]*node{l.expression(one.Test)}, l.statements(one.Consequent)...)...))
		}
		return made
	case *ast.ThrowStatement:
		return l.node(kThrow, nil, "", l.expression(s.Argument))
	case *ast.TryStatement:
		made := l.node(kTry, nil, "", l.block(s.Body), nil, nil, l.block(s.Finally))
		if s.Catch != nil {
			if s.Catch.Parameter != nil {
				made.kids[1] = l.expression(s.Catch.Parameter)
			}
			made.kids[2] = l.block(s.Catch.Body)
		}
		return made
	case *ast.VariableStatement:
		return l.declare("var", s.List)
	case *ast.LexicalDeclaration:
		return l.declare(s.Token.String(), s.List)
	case *ast.FunctionDeclaration:
		return l.declaredFunction(s.Function)
	case *ast.ClassDeclaration:
		return l.declaredClass(s.Class)
	case *ast.WithStatement:
		return l.node(kOther, nil, "", l.expression(s.Object), l.statement(s.Body))
	case *ast.ImportDeclaration:
		l.imports(s)
		return nil
	case *ast.ExportDeclaration:
		return l.exports(s)
	default:
		// Passing over what is not known would be judging a file without having read it; parseModule recovers.
		panic(unknownSyntax{of})
	}
}

// unknownSyntax is the panic of a lowerer that meets what it was not written for.
type unknownSyntax struct{ of ast.Node }

func (u unknownSyntax) Error() string { return "it does not know this kind of syntax yet" }

func (l *lowerer) declare(word string, list []*ast.Binding) *node {
	made := l.node(kDeclare, nil, word)
	for _, binding := range list {
		made.kids = append(made.kids, l.node(kDeclarator, nil, "", l.expression(binding.Target), l.expression(binding.Initializer)))
	}
	return made
}

func (l *lowerer) declaredFunction(of *ast.FunctionLiteral) *node {
	value := l.function(of)
	if of.Name == nil {
		return value
	}
	return l.node(kDeclareFn, of, "", l.name(of.Name), value)
}

func (l *lowerer) declaredClass(of *ast.ClassLiteral) *node {
	value := l.class(of)
	if of.Name == nil {
		return value
	}
	return l.node(kDeclareType, of, "", l.name(of.Name), value)
}

func (l *lowerer) loopStart(of ast.ForLoopInitializer) *node {
	switch start := of.(type) {
	case nil:
		return nil
	case *ast.ForLoopInitializerExpression:
		return l.expression(start.Expression)
	case *ast.ForLoopInitializerVarDeclList:
		return l.declare("var", start.List)
	case *ast.ForLoopInitializerLexicalDecl:
		return l.declare(start.LexicalDeclaration.Token.String(), start.LexicalDeclaration.List)
	default:
		panic(unknownSyntax{of})
	}
}

func (l *lowerer) forInto(of ast.ForInto) *node {
	switch into := of.(type) {
	case *ast.ForIntoVar:
		return l.node(kDeclare, nil, "var", l.node(kDeclarator, nil, "", l.expression(into.Binding.Target), nil))
	case *ast.ForDeclaration:
		word := "let"
		if into.IsConst {
			word = "const"
		}
		return l.node(kDeclare, nil, word, l.node(kDeclarator, nil, "", l.expression(into.Target), nil))
	case *ast.ForIntoExpression:
		return l.expression(into.Expression)
	default:
		panic(unknownSyntax{of})
	}
}

func (l *lowerer) name(of *ast.Identifier) *node { return l.node(kName, of, of.Name.String()) }

func (l *lowerer) expressions(list []ast.Expression) []*node {
	kids := make([]*node, 0, len(list))
	for _, one := range list {
		kid := l.expression(one)
		if kid == nil {
			kid = l.node(kPlain, nil, "undefined") // a hole in an array
		}
		kids = append(kids, kid)
	}
	return kids
}

// expression returns nil for nil.
func (l *lowerer) expression(of ast.Expression) *node {
	switch e := of.(type) {
	case nil:
		return nil
	case *ast.OptionalChain:
		return l.expression(e.Expression)
	case *ast.Optional:
		return l.expression(e.Expression)
	case *ast.StringLiteral:
		return l.node(kText, e, e.Value.String())
	case *ast.NumberLiteral:
		return l.node(kNumber, e, e.Literal)
	case *ast.BooleanLiteral:
		return l.node(kPlain, e, e.Literal)
	case *ast.NullLiteral:
		return l.node(kPlain, e, "null")
	case *ast.RegExpLiteral:
		return l.node(kRegexp, e, e.Literal)
	case *ast.Identifier:
		return l.identifier(e)
	case *ast.ThisExpression:
		return l.node(kThis, e, "")
	case *ast.SuperExpression:
		return l.node(kOther, e, "super")
	case *ast.TemplateLiteral:
		return l.template(e)
	case *ast.DotExpression:
		made := l.node(kMember, e, e.Identifier.Name.String(), l.expression(e.Left))
		return made
	case *ast.PrivateDotExpression:
		return l.node(kMember, e, "#"+e.Identifier.Name.String(), l.expression(e.Left))
	case *ast.BracketExpression:
		object, key := l.expression(e.Left), l.expression(e.Member)
		if key.is(kText) {
			return l.node(kMember, e, key.text, object)
		}
		return l.node(kIndex, e, "", object, key)
	case *ast.CallExpression:
		return l.node(kCall, e, "", append([]*node{l.expression(e.Callee)}, l.expressions(e.ArgumentList)...)...)
	case *ast.NewExpression:
		return l.node(kNew, e, "", append([]*node{l.expression(e.Callee)}, l.expressions(e.ArgumentList)...)...)
	case *ast.SpreadElement:
		return l.node(kSpread, e, "", l.expression(e.Expression))
	case *ast.ArrayLiteral:
		return l.node(kArray, e, "", l.expressions(e.Value)...)
	case *ast.ObjectLiteral:
		return l.node(kObject, e, "", l.properties(e.Value)...)
	case *ast.FunctionLiteral:
		return l.function(e)
	case *ast.ArrowFunctionLiteral:
		return l.arrow(e)
	case *ast.ClassLiteral:
		return l.class(e)
	case *ast.AssignExpression:
		return l.node(kAssign, e, assignOperator(e.Operator), l.expression(e.Left), l.expression(e.Right))
	case *ast.BinaryExpression:
		k := kBinary
		if e.Operator == token.LOGICAL_AND || e.Operator == token.LOGICAL_OR || e.Operator == token.COALESCE {
			k = kLogical
		}
		return l.node(k, e, e.Operator.String(), l.expression(e.Left), l.expression(e.Right))
	case *ast.UnaryExpression:
		k := kUnary
		if e.Operator == token.INCREMENT || e.Operator == token.DECREMENT {
			k = kUpdate
		}
		return l.node(k, e, e.Operator.String(), l.expression(e.Operand))
	case *ast.ConditionalExpression:
		return l.node(kConditional, e, "", l.expression(e.Test), l.expression(e.Consequent), l.expression(e.Alternate))
	case *ast.SequenceExpression:
		return l.node(kSequence, e, "", l.expressions(e.Sequence)...)
	case *ast.AwaitExpression:
		return l.node(kAwait, e, "", l.expression(e.Argument))
	case *ast.YieldExpression:
		return l.node(kYield, nil, "", l.expression(e.Argument))
	case *ast.MetaProperty, *ast.DynamicImportExpression, *ast.PrivateIdentifier:
		return l.node(kOther, nil, "")
	case *ast.ArrayPattern:
		made := l.node(kArrayPattern, e, "")
		for _, element := range e.Elements {
			made.kids = append(made.kids, l.expression(element))
		}
		if e.Rest != nil {
			made.kids = append(made.kids, l.node(kSpread, nil, "", l.expression(e.Rest)))
		}
		return made
	case *ast.ObjectPattern:
		made := l.node(kObjectPattern, e, "", l.properties(e.Properties)...)
		if e.Rest != nil {
			made.kids = append(made.kids, l.node(kSpread, nil, "", l.expression(e.Rest)))
		}
		return made
	case *ast.Binding:
		return l.defaulted(l.expression(e.Target), e.Initializer)
	case *ast.PropertyShort, *ast.PropertyKeyed:
		return l.property(e.(ast.Property))
	default:
		panic(unknownSyntax{of})
	}
}

// assignOperator gives back what the parser leaves out of += and its like.
func assignOperator(operator token.Token) string {
	if operator == token.ASSIGN {
		return "="
	}
	return operator.String() + "="
}

func (l *lowerer) identifier(of *ast.Identifier) *node {
	switch name := of.Name.String(); name {
	case "undefined", "NaN", "Infinity":
		return l.node(kPlain, of, name)
	default:
		return l.name(of)
	}
}

func (l *lowerer) defaulted(target *node, value ast.Expression) *node {
	if value == nil {
		return target
	}
	return &node{kind: kDefault, module: l.module, at: target.at, end: target.end, kids: []*node{target, l.expression(value)}}
}

func (l *lowerer) template(of *ast.TemplateLiteral) *node {
	made := l.node(kTemplate, of, "", l.expressions(of.Expressions)...)
	made.at = int(of.OpenQuote) - 1
	for _, element := range of.Elements {
		made.texts = append(made.texts, element.Parsed.String())
	}
	if of.Tag != nil {
		return l.node(kTagged, of, "", l.expression(of.Tag), made)
	}
	return made
}

func (l *lowerer) properties(list []ast.Property) []*node {
	var kids []*node
	for _, one := range list {
		kids = append(kids, l.property(one))
	}
	return kids
}

func (l *lowerer) property(of ast.Property) *node {
	switch p := of.(type) {
	case *ast.PropertyShort:
		return l.node(kProperty, nil, p.Name.Name.String(), l.defaulted(l.identifier(&p.Name), p.Initializer))
	case *ast.PropertyKeyed:
		return l.keyed(p.Key, p.Computed, l.expression(p.Value))
	case *ast.SpreadElement:
		return l.node(kSpread, nil, "", l.expression(p.Expression))
	default:
		panic(unknownSyntax{of})
	}
}

// keyed is a member of an object or a class. Getters and setters are functions like any other: who reads the property does
// not see that one is called.
func (l *lowerer) keyed(key ast.Expression, computed bool, value *node) *node {
	if value == nil {
		value = l.node(kPlain, nil, "undefined")
	}
	lowered := l.expression(key)
	text, plain := "", true
	switch {
	case lowered.is(kText), lowered.is(kNumber):
		text = lowered.text
	case !computed && lowered.is(kName):
		text = lowered.text
	default:
		plain = false
		if private, ok := key.(*ast.PrivateIdentifier); ok {
			text, plain = "#"+private.Name.String(), true
		}
	}
	if !plain {
		return l.node(kIndexed, nil, "", lowered, value)
	}
	if value.fn != nil && value.fn.name == "" {
		value.fn.name = text
	}
	return l.node(kProperty, nil, text, value)
}

func (l *lowerer) function(of *ast.FunctionLiteral) *node {
	made := l.node(kFunction, nil, "")
	made.at, made.end = int(of.Function)-1, int(of.Body.Idx1())-1
	fn := &function{node: made, generator: of.Generator}
	made.fn = fn
	if of.Name != nil {
		fn.name = of.Name.Name.String()
	}
	l.into(fn, of.ParameterList, func() { fn.body = l.block(of.Body) })
	return made
}

func (l *lowerer) arrow(of *ast.ArrowFunctionLiteral) *node {
	made := l.node(kFunction, of, "")
	fn := &function{node: made}
	made.fn = fn
	l.into(fn, of.ParameterList, func() {
		switch body := of.Body.(type) {
		case *ast.BlockStatement:
			fn.body = l.block(body)
		case *ast.ExpressionBody:
			value := l.expression(body.Expression)
			fn.returns = append(fn.returns, value)
			fn.body = l.node(kBlock, body, "", l.node(kReturn, nil, "", value))
		default:
			panic(unknownSyntax{of.Body})
		}
	})
	return made
}

func (l *lowerer) into(fn *function, params *ast.ParameterList, body func()) {
	outer := l.fn
	l.fn = fn
	defer func() { l.fn = outer }()
	if params != nil {
		for _, param := range params.List {
			fn.params = append(fn.params, l.expression(param))
		}
		if params.Rest != nil {
			fn.params = append(fn.params, l.node(kSpread, nil, "", l.expression(params.Rest)))
		}
	}
	body()
}

func (l *lowerer) class(of *ast.ClassLiteral) *node {
	made := l.node(kClass, of, "", l.expression(of.SuperClass))
	if of.Name != nil {
		made.text = of.Name.Name.String()
	}
	for _, element := range of.Body {
		var kid *node
		switch e := element.(type) {
		case *ast.FieldDefinition:
			kid = l.keyed(e.Key, e.Computed, l.expression(e.Initializer))
		case *ast.MethodDefinition:
			kid = l.keyed(e.Key, e.Computed, l.function(e.Body))
		case *ast.ClassStaticBlock:
			kid = l.block(e.Block)
		default:
			panic(unknownSyntax{element})
		}
		if kid.is(kProperty) && kid.kids[0].fn != nil {
			kid.kids[0].fn.class, kid.kids[0].fn.method = made, kid.text
		}
		made.kids = append(made.kids, kid)
	}
	return made
}
