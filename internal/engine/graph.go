package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/pipelines"
)

// graph is the DAG of the stages of one moment. Nodes are numbered in the pipeline's order.
type graph struct {
	nodes []node
}

// node is one stage with its neighbours.
type node struct {
	stage      *pipelines.Stage
	needs      []int // direct, within the graph
	dependents []int
	// before are the results of needs that ran at another moment.
	before []*Result
	// height is the number of stages on the longest way from here to an end: the higher, the sooner it should start.
	height int
}

// newGraph builds the DAG of the stages in p that run at when, all of them or only the named ones with what they need.
// earlier are results of other moments, on which a stage may also depend. A need that is neither, a name that does not
// exist and a cycle are errors: running something else than was asked would be worse.
func newGraph(p *pipelines.Pipeline, when pipelines.When, only []string, earlier []Result) (*graph, error) {
	chosen, err := choose(p, when, only)
	if err != nil {
		return nil, err
	}
	g := &graph{nodes: make([]node, 0, len(chosen))}
	index := make(map[string]int, len(chosen))
	for _, stage := range chosen {
		if _, twice := index[stage.Name]; twice {
			return nil, fmt.Errorf("stage %q is defined twice", stage.Name)
		}
		index[stage.Name] = len(g.nodes)
		g.nodes = append(g.nodes, node{stage: stage})
	}
	for i := range g.nodes {
		n := &g.nodes[i]
		for _, need := range n.stage.Needs {
			if j, ok := index[need]; ok {
				n.needs = append(n.needs, j)
				g.nodes[j].dependents = append(g.nodes[j].dependents, i)
				continue
			}
			k := slices.IndexFunc(earlier, func(r Result) bool { return r.Stage == need })
			if k < 0 {
				return nil, fmt.Errorf("stage %q needs %q, which does not run at this moment and has not run before it", n.stage.Name, need)
			}
			n.before = append(n.before, &earlier[k])
		}
	}
	order, err := g.order()
	if err != nil {
		return nil, err
	}
	for _, i := range slices.Backward(order) {
		for _, dependent := range g.nodes[i].dependents {
			g.nodes[i].height = max(g.nodes[i].height, g.nodes[dependent].height+1)
		}
	}
	return g, nil
}

// choose returns the stages of the moment, reduced to only and what those need.
func choose(p *pipelines.Pipeline, when pipelines.When, only []string) ([]*pipelines.Stage, error) {
	var all []*pipelines.Stage
	byName := map[string]*pipelines.Stage{}
	for i := range p.Stages {
		stage := &p.Stages[i]
		if at := stage.When; at == when || (at == "" && when == pipelines.WhenBuild) {
			all = append(all, stage)
			byName[stage.Name] = stage
		}
	}
	if len(only) == 0 {
		return all, nil
	}
	wanted := map[string]bool{}
	queue := slices.Clone(only)
	for _, name := range only {
		if byName[name] == nil {
			return nil, fmt.Errorf("there is no %s stage %q; the pipeline has: %s", when, name, strings.Join(namesOf(all), ", "))
		}
	}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if stage := byName[name]; stage != nil && !wanted[name] {
			wanted[name] = true
			queue = append(queue, stage.Needs...)
		}
	}
	return slices.DeleteFunc(all, func(s *pipelines.Stage) bool { return !wanted[s.Name] }), nil
}

func namesOf(stages []*pipelines.Stage) []string {
	names := make([]string, len(stages))
	for i, stage := range stages {
		names[i] = stage.Name
	}
	return names
}

// order sorts topologically (Kahn) and names the stages of a cycle.
func (g *graph) order() ([]int, error) {
	waiting := make([]int, len(g.nodes))
	var order []int
	for i := range g.nodes {
		waiting[i] = len(g.nodes[i].needs)
		if waiting[i] == 0 {
			order = append(order, i)
		}
	}
	for at := 0; at < len(order); at++ {
		for _, dependent := range g.nodes[order[at]].dependents {
			if waiting[dependent]--; waiting[dependent] == 0 {
				order = append(order, dependent)
			}
		}
	}
	if len(order) == len(g.nodes) {
		return order, nil
	}
	var stuck []string
	for i, left := range waiting {
		if left > 0 {
			stuck = append(stuck, g.nodes[i].stage.Name)
		}
	}
	return nil, fmt.Errorf("stages need each other in a circle: %s", strings.Join(stuck, ", "))
}
