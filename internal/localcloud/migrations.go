package localcloud

import (
	"net/http"
	"slices"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// migrations is an upload's change of Durable Object classes, as several steps or as one.
// Source: https://developers.cloudflare.com/durable-objects/reference/durable-objects-migrations/
type migrations struct {
	OldTag string          `json:"old_tag"`
	NewTag string          `json:"new_tag"`
	Steps  []migrationStep `json:"steps"`
	migrationStep
}

type migrationStep struct {
	NewClasses         []string `json:"new_classes"`
	NewSQLiteClasses   []string `json:"new_sqlite_classes"`
	DeletedClasses     []string `json:"deleted_classes"`
	RenamedClasses     []rename `json:"renamed_classes"`
	TransferredClasses []any    `json:"transferred_classes"`
}

type rename struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// migrate returns the classes after the migration. A class keeps its unique key, and so its data, when it is renamed.
func migrate(script store.Script, classes []runtime.DurableObjectClass, change *migrations) ([]runtime.DurableObjectClass, error) {
	if change.OldTag != script.MigrationTag {
		return nil, refuse(http.StatusPreconditionFailed, codeMigrationTag,
			"Durable Object migration tag precondition failed: expected tag %q but the current tag is %q", change.OldTag, script.MigrationTag)
	}
	steps := change.Steps
	if len(steps) == 0 {
		steps = []migrationStep{change.migrationStep}
	}
	out := slices.Clone(classes)
	for _, step := range steps {
		if err := step.apply(&out); err != nil {
			return nil, err
		}
	}
	if out == nil {
		out = []runtime.DurableObjectClass{} // nil would mean no change
	}
	return out, nil
}

func (s migrationStep) apply(classes *[]runtime.DurableObjectClass) error {
	find := func(name string) int {
		return slices.IndexFunc(*classes, func(class runtime.DurableObjectClass) bool { return class.ClassName == name })
	}
	if len(s.TransferredClasses) > 0 {
		return badUpload("transferred_classes are not provided by the local cloudflare")
	}
	for _, change := range s.RenamedClasses {
		at := find(change.From)
		if at < 0 || find(change.To) >= 0 {
			return classConflict("rename", change.From)
		}
		(*classes)[at].ClassName = change.To
	}
	for _, name := range s.DeletedClasses {
		at := find(name)
		if at < 0 {
			return classConflict("delete", name)
		}
		*classes = slices.Delete(*classes, at, at+1)
	}
	for _, name := range append(slices.Clone(s.NewClasses), s.NewSQLiteClasses...) {
		if find(name) >= 0 {
			return classConflict("new", name)
		}
		*classes = append(*classes, runtime.DurableObjectClass{
			ClassName: name, UniqueKey: store.NewID(), SQL: slices.Contains(s.NewSQLiteClasses, name),
		})
	}
	return nil
}

func classConflict(action, class string) error {
	return refuse(http.StatusBadRequest, codeClassConflict,
		"Cannot apply %s-class migration to class '%s': it does not fit the classes that are there", action, class)
}
