package analytics

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// Source is where samples come from.
type Source interface {
	// Samples are those of a dataset that begin within [from, until), in any order.
	Samples(ctx context.Context, dataset string, from, until time.Time) ([]Sample, error)
	// Zone tells whether there is such a zone.
	Zone(ctx context.Context, id string) (bool, error)
}

// Request is a GraphQL request's body.
type Request struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
}

// Response is a GraphQL answer: data, or errors and no data.
type Response struct {
	Data   any       `json:"data"`
	Errors []Refusal `json:"errors"`
}

// Refusal is one error of an answer.
type Refusal struct {
	Message    string            `json:"message"`
	Path       []string          `json:"path"`
	Extensions map[string]string `json:"extensions"` // when, and for what is not allowed the code authz
}

// refused is a query that is answered with an error.
type refused struct{ message, code string }

func (r *refused) Error() string { return r.message }

func refusal(message string, args ...any) error {
	return &refused{message: fmt.Sprintf(message, args...)}
}

func notAllowed(message string, args ...any) error {
	return &refused{message: fmt.Sprintf(message, args...), code: "authz"}
}

// checks are GraphQL's own rules, but for those about the types of variables: Cloudflare reads a variable by the place
// where it is used, and its clients declare types that its schema does not have.
var checks = func() *rules.Rules {
	checks := rules.NewDefaultRules()
	for _, name := range []string{"KnownTypeNames", "VariablesAreInputTypes", "VariablesInAllowedPosition"} {
		checks.RemoveRule(name)
	}
	return checks
}()

// Answer answers a request about one account. The error is the source's; what is wrong with the request is in the answer.
func Answer(ctx context.Context, source Source, account string, request Request, now time.Time) (Response, error) {
	document, err := parser.ParseQuery(&ast.Source{Name: "query", Input: request.Query})
	if err != nil {
		return refuse(now, err.Error()), nil
	}
	// A variable of a type that the schema lacks is treated as the schema's own string: its value is looked at where it is used.
	for _, operation := range document.Operations {
		for _, variable := range operation.VariableDefinitions {
			if schema().Types[variable.Type.Name()] == nil {
				variable.Type = ast.NamedType("string", variable.Position)
			}
		}
	}
	if problems := validator.ValidateWithRules(schema(), document, checks); len(problems) > 0 {
		return refuse(now, messages(problems)...), nil
	}
	operation := document.Operations.ForName(request.OperationName)
	if operation == nil || operation.Operation != ast.Query {
		return refuse(now, "no query to carry out"), nil
	}
	for _, variable := range operation.VariableDefinitions {
		if _, given := request.Variables[variable.Variable]; !given && variable.Type.NonNull && variable.DefaultValue == nil {
			return refuse(now, fmt.Sprintf("variable %q is not set", variable.Variable)), nil
		}
	}
	a := &answering{ctx: ctx, source: source, account: account, variables: request.Variables, now: now}
	data, err := a.object(operation.SelectionSet, "Query", map[string]resolver{
		"viewer": a.viewer,
		"cost":   func(*ast.Field) (any, error) { return 1, nil },
	})
	var problem *refused
	if errors.As(err, &problem) {
		response := refuse(now, problem.message)
		if problem.code != "" {
			response.Errors[0].Extensions["code"] = problem.code
		}
		return response, nil
	}
	return Response{Data: data}, err
}

// absentField is how the checks name a field that a type does not have.
var absentField = regexp.MustCompile(`^Cannot query field ("[^"]*")`)

// messages says what is wrong, an unknown field in Cloudflare's words.
func messages(problems gqlerror.List) []string {
	var out []string
	for _, problem := range problems {
		if field := absentField.FindStringSubmatch(problem.Message); field != nil {
			out = append(out, "unknown field "+field[1])
			continue
		}
		out = append(out, problem.Message)
	}
	return out
}

func refuse(now time.Time, messages ...string) Response {
	response := Response{}
	for _, message := range messages {
		response.Errors = append(response.Errors, Refusal{Message: message, Extensions: map[string]string{"timestamp": now.UTC().Format(time.RFC3339)}})
	}
	return response
}

// answering is one request on its way.
type answering struct {
	ctx       context.Context
	source    Source
	account   string
	variables map[string]any
	now       time.Time
}

type resolver func(field *ast.Field) (any, error)

// object answers a selection of fields, fragments included.
func (a *answering) object(set ast.SelectionSet, typeName string, fields map[string]resolver) (map[string]any, error) {
	out := map[string]any{}
	for _, field := range flatten(set) {
		if field.Name == "__typename" {
			out[field.Alias] = typeName
			continue
		}
		resolve := fields[field.Name]
		if resolve == nil {
			return nil, refusal("unknown field %q", field.Name)
		}
		value, err := resolve(field)
		if err != nil {
			return nil, err
		}
		out[field.Alias] = value
	}
	return out, nil
}

func flatten(set ast.SelectionSet) []*ast.Field {
	var fields []*ast.Field
	for _, selection := range set {
		switch selected := selection.(type) {
		case *ast.Field:
			fields = append(fields, selected)
		case *ast.InlineFragment:
			fields = append(fields, flatten(selected.SelectionSet)...)
		case *ast.FragmentSpread:
			fields = append(fields, flatten(selected.Definition.SelectionSet)...)
		}
	}
	return fields
}

// argument is an argument's value with variables put in; nil when it is absent.
func (a *answering) argument(field *ast.Field, name string) (any, error) {
	argument := field.Arguments.ForName(name)
	if argument == nil {
		return nil, nil
	}
	value, err := argument.Value.Value(a.variables)
	if err != nil {
		return nil, refusal("error parsing args for %q: %v", field.Name, err)
	}
	return value, nil
}

func (a *answering) viewer(field *ast.Field) (any, error) {
	return a.object(field.SelectionSet, "viewer", map[string]resolver{"accounts": a.accounts, "zones": a.zones})
}

func (a *answering) accounts(field *ast.Field) (any, error) {
	filter, err := a.argument(field, "filter")
	if err != nil {
		return nil, err
	}
	members, _ := filter.(map[string]any)
	tag, _ := members["accountTag"].(string)
	if tag == "" {
		return nil, refusal("filter must name an accountTag")
	}
	if tag != a.account {
		return nil, notAllowed("not authorized for that account")
	}
	out, err := a.node(field, "account", "accountTag", tag, false)
	return []any{out}, err
}

func (a *answering) zones(field *ast.Field) (any, error) {
	filter, err := a.argument(field, "filter")
	if err != nil {
		return nil, err
	}
	members, _ := filter.(map[string]any)
	var tags []string
	if tag, isText := members["zoneTag"].(string); isText {
		tags = append(tags, tag)
	}
	list, _ := members["zoneTag_in"].([]any)
	for _, one := range list {
		tag, _ := one.(string)
		tags = append(tags, tag)
	}
	if len(tags) == 0 {
		return nil, refusal("filter must name a zoneTag")
	}
	out := []any{}
	for _, tag := range tags {
		found, err := a.source.Zone(a.ctx, tag)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, notAllowed("not authorized for that zone: %s", tag)
		}
		node, err := a.node(field, "zone", "zoneTag", tag, true)
		if err != nil {
			return nil, err
		}
		out = append(out, node)
	}
	return out, nil
}

// node is an account or a zone with its datasets.
func (a *answering) node(field *ast.Field, typeName, tagName, tag string, zone bool) (any, error) {
	fields := map[string]resolver{tagName: func(*ast.Field) (any, error) { return tag, nil }}
	for _, d := range datasets {
		if d.zone == zone {
			fields[d.name] = func(field *ast.Field) (any, error) { return a.dataset(field, d, tag) }
		}
	}
	return a.object(field.SelectionSet, typeName, fields)
}

// Retention is how far back samples are kept, and so how far a query may go back.
const Retention = 31 * 24 * time.Hour

// group is all samples that share the dimensions that a query asks for.
type group struct {
	dimensions map[string]string
	Sample
}

func (a *answering) dataset(field *ast.Field, d dataset, tag string) (any, error) {
	limit, err := a.argument(field, "limit")
	if err != nil {
		return nil, err
	}
	most, err := strconv.Atoi(fmt.Sprint(limit))
	if err != nil || most < 1 || most > limitMost {
		return nil, refusal("limit must be positive number and not greater than %d", limitMost)
	}
	given, err := a.argument(field, "filter")
	if err != nil {
		return nil, err
	}
	wanted, isObject := given.(map[string]any)
	if given != nil && !isObject {
		return nil, refusal("error parsing args for %q: filter is no object", field.Name)
	}
	fits, err := d.filter(wanted)
	if err != nil {
		return nil, err
	}
	samples, err := a.source.Samples(a.ctx, d.name, a.now.Add(-Retention), a.now.Add(time.Minute))
	if err != nil {
		return nil, err
	}
	by := dimensionsAsked(field)
	groups := map[string]*group{}
	for _, sample := range samples {
		if d.zone && sample.Dimensions["zoneTag"] != tag {
			continue
		}
		if !fits(sample) {
			continue
		}
		dimensions, key := map[string]string{}, ""
		for _, name := range by {
			dimensions[name] = dimension(sample, name)
			key += dimensions[name] + "\x00"
		}
		if groups[key] == nil {
			groups[key] = &group{dimensions: dimensions}
		}
		groups[key].Merge(sample)
	}
	rows := make([]*group, 0, len(groups))
	for _, one := range groups {
		rows = append(rows, one)
	}
	order, err := a.argument(field, "orderBy")
	if err != nil {
		return nil, err
	}
	if err := d.sort(rows, by, order); err != nil {
		return nil, err
	}
	out := []any{}
	for _, row := range rows[:min(len(rows), most)] {
		shown, err := a.row(field, d, row)
		if err != nil {
			return nil, err
		}
		out = append(out, shown)
	}
	return out, nil
}

// dimensionsAsked are the names of the dimensions that a query selects, by which it groups.
func dimensionsAsked(field *ast.Field) []string {
	var names []string
	for _, one := range flatten(field.SelectionSet) {
		if one.Name != "dimensions" {
			continue
		}
		for _, dimension := range flatten(one.SelectionSet) {
			if dimension.Name != "__typename" && !slices.Contains(names, dimension.Name) {
				names = append(names, dimension.Name)
			}
		}
	}
	return names
}

// dimension is a sample's value of a dimension, moments cut to the dimension's coarseness.
func dimension(sample Sample, name string) string {
	at := sample.At.UTC()
	switch name {
	case "date":
		return at.Format(time.DateOnly)
	case "datetime":
		return at.Truncate(time.Second).Format(time.RFC3339)
	case "datetimeMinute":
		return at.Truncate(time.Minute).Format(time.RFC3339)
	case "datetimeFiveMinutes":
		return at.Truncate(5 * time.Minute).Format(time.RFC3339)
	case "datetimeFifteenMinutes":
		return at.Truncate(15 * time.Minute).Format(time.RFC3339)
	case "datetimeHour":
		return at.Truncate(time.Hour).Format(time.RFC3339)
	}
	return sample.Dimensions[name]
}

// operators are the endings of a filter's members, the longer ones first.
var operators = []string{"_notin", "_neq", "_like", "_geq", "_leq", "_in", "_gt", "_lt"}

// filter makes a test of samples from a filter object, whose members must all hold.
func (d dataset) filter(wanted map[string]any) (func(Sample) bool, error) {
	var tests []func(Sample) bool
	for member, value := range wanted {
		test, err := d.member(member, value)
		if err != nil {
			return nil, err
		}
		tests = append(tests, test)
	}
	return func(sample Sample) bool {
		return !slices.ContainsFunc(tests, func(test func(Sample) bool) bool { return !test(sample) })
	}, nil
}

func (d dataset) member(member string, value any) (func(Sample) bool, error) {
	if member == "AND" || member == "OR" {
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		var tests []func(Sample) bool
		for _, one := range list {
			object, isObject := one.(map[string]any)
			if !isObject {
				return nil, refusal("filter: %s holds what is no filter", member)
			}
			test, err := d.filter(object)
			if err != nil {
				return nil, err
			}
			tests = append(tests, test)
		}
		return func(sample Sample) bool {
			holds := func(test func(Sample) bool) bool { return test(sample) }
			if member == "OR" {
				return slices.ContainsFunc(tests, holds)
			}
			return !slices.ContainsFunc(tests, func(test func(Sample) bool) bool { return !test(sample) })
		}, nil
	}
	name, operator := member, ""
	for _, ending := range operators {
		if cut, ends := strings.CutSuffix(member, ending); ends {
			name, operator = cut, ending
			break
		}
	}
	isTime := slices.Contains(timeDimensions, name)
	// A variable's members were not seen by the check of the query.
	if !isTime && !slices.Contains(d.dimensions, name) {
		return nil, refusal("unknown field %q in filter of %s", member, d.name)
	}
	if operator == "_in" || operator == "_notin" {
		list, isList := value.([]any)
		if !isList || isTime {
			return nil, refusal("filter: %s needs a list", member)
		}
		return func(sample Sample) bool {
			among := slices.ContainsFunc(list, func(one any) bool { return fmt.Sprint(one) == dimension(sample, name) })
			return among == (operator == "_in")
		}, nil
	}
	text, isText := value.(string)
	if !isText {
		if _, isNumber := value.(json.Number); !isNumber && isTime {
			return nil, refusal("filter: %s must be a time", member)
		}
		text = fmt.Sprint(value)
	}
	if isTime {
		at, err := readTime(text)
		if err != nil {
			return nil, refusal("filter: %s: %q is not a time such as 2026-01-31T00:00:00Z", member, text)
		}
		return func(sample Sample) bool {
			mine, _ := readTime(dimension(sample, name)) // our own format
			return compare(operator, mine.Compare(at))
		}, nil
	}
	if operator == "_like" {
		return func(sample Sample) bool { return like(text, dimension(sample, name)) }, nil
	}
	return func(sample Sample) bool { return compare(operator, cmp.Compare(dimension(sample, name), text)) }, nil
}

func readTime(text string) (time.Time, error) {
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, nil
	}
	return time.Parse(time.RFC3339, text)
}

func compare(operator string, result int) bool {
	switch operator {
	case "_neq":
		return result != 0
	case "_geq":
		return result >= 0
	case "_gt":
		return result > 0
	case "_leq":
		return result <= 0
	case "_lt":
		return result < 0
	}
	return result == 0
}

// like matches SQL's pattern: % is any text, _ any character.
func like(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	if pattern[0] == '%' {
		for i := 0; i <= len(text); i++ {
			if like(pattern[1:], text[i:]) {
				return true
			}
		}
		return false
	}
	return text != "" && (pattern[0] == '_' || pattern[0] == text[0]) && like(pattern[1:], text[1:])
}

// sort orders rows as asked for, and then by their dimensions, so that the same samples give the same answer.
func (d dataset) sort(rows []*group, by []string, order any) error {
	var keys []string
	switch given := order.(type) {
	case nil:
	case string:
		keys = []string{given}
	case []any:
		for _, one := range given {
			keys = append(keys, fmt.Sprint(one))
		}
	}
	for _, key := range keys {
		name, _ := cutDirection(key)
		moment := slices.Contains(timeDimensions, name)
		if (moment || slices.Contains(d.dimensions, name)) && !slices.Contains(by, name) {
			return refusal("orderBy %s: the query does not select the dimension %s", key, name)
		}
	}
	slices.SortFunc(rows, func(x, y *group) int {
		for _, key := range keys {
			name, descending := cutDirection(key)
			result := cmp.Compare(x.dimensions[name], y.dimensions[name])
			if part, member, isMeasure := strings.Cut(name, "_"); isMeasure || name == "count" {
				a, _ := d.measure(x, part, member).(float64)
				b, _ := d.measure(y, part, member).(float64)
				result = cmp.Compare(a, b)
			}
			if descending {
				result = -result
			}
			if result != 0 {
				return result
			}
		}
		for _, name := range by {
			if result := cmp.Compare(x.dimensions[name], y.dimensions[name]); result != 0 {
				return result
			}
		}
		return 0
	})
	return nil
}

func cutDirection(key string) (name string, descending bool) {
	if cut, ends := strings.CutSuffix(key, "_DESC"); ends {
		return cut, true
	}
	return strings.TrimSuffix(key, "_ASC"), false
}

// row shows a group as the query selects it.
func (a *answering) row(field *ast.Field, d dataset, row *group) (any, error) {
	part := func(name string) resolver {
		return func(field *ast.Field) (any, error) {
			out := map[string]any{}
			for _, member := range flatten(field.SelectionSet) {
				switch {
				case member.Name == "__typename":
					out[member.Alias] = d.typeName() + strings.ToUpper(name[:1]) + name[1:]
				case name == "dimensions":
					out[member.Alias] = row.dimensions[member.Name]
				default:
					out[member.Alias] = d.measure(row, name, member.Name)
				}
			}
			return out, nil
		}
	}
	return a.object(field.SelectionSet, d.typeName(), map[string]resolver{
		"dimensions": part("dimensions"), "sum": part("sum"), "max": part("max"), "avg": part("avg"), "quantiles": part("quantiles"),
		"count": func(*ast.Field) (any, error) { return row.Count, nil },
	})
}

// measure is one measurement of a group; nil when nothing measures it.
func (d dataset) measure(row *group, part, member string) any {
	name, quantile := member, 0.0
	if at := strings.LastIndex(member, "P"); part == "quantiles" && at > 0 {
		digits := member[at+1:]
		value, err := strconv.ParseFloat("0."+digits, 64)
		if err != nil {
			return nil
		}
		name, quantile = member[:at], value
	}
	if slices.Contains(d.unmeasured, name) {
		return nil
	}
	switch part {
	case "count":
		return float64(row.Count)
	case "sum":
		return row.Sums[name]
	case "max":
		return row.Levels[name].Max
	case "avg":
		if member == "sampleInterval" {
			return 1.0 // every event is counted
		}
		return row.Levels[name].Sum / math.Max(float64(row.Levels[name].N), 1)
	case "quantiles":
		if value := row.Spread[name].Quantile(quantile); !math.IsNaN(value) {
			return math.Round(value*1000) / 1000
		}
	}
	return nil
}
