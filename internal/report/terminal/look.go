package terminal

// Look is how a run is shown.
type Look struct {
	Colour bool
	// All shows every stage, gate and step in a row of its own at the end; else what went well is folded.
	All bool
	// Size tells the terminal's columns and rows at the moment; nil or 0 where there is none, and then nothing is cut or wrapped.
	Size func() (columns, rows int)
}

func (l Look) size() (columns, rows int) {
	if l.Size == nil {
		return 0, 0
	}
	return l.Size()
}
