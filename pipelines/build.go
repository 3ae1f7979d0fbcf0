package pipelines

// Build makes the pipeline that runs: the shipped one, adjusted or replaced by file where there is one (nil: there is
// none), defaulted and validated. All problems of the last two steps are listed together.
func Build(shipped Pipeline, file *File) (Pipeline, Problems) {
	p, problems := shipped, Problems(nil)
	if file != nil {
		p, problems = file.Apply(shipped)
	}
	p = Default(p)
	problems = append(problems, Validate(p, file)...)
	problems.Sort()
	return p, problems
}
