package pipelines

// didYouMean returns `, did you mean "x"?` when one of the known words is close to what was written, and "" otherwise.
func didYouMean(word string, known []string) string {
	best := Nearest(word, known)
	if best == "" {
		return ""
	}
	return `, did you mean "` + best + `"?`
}

// Nearest returns the known word that was probably meant by another one, or "" when none is close.
func Nearest(word string, known []string) string {
	best, distance := "", 3 // a word that differs in more than two letters is another word
	for _, candidate := range known {
		if d := editDistance(word, candidate, distance); d < distance && d < len(candidate) {
			best, distance = candidate, d
		}
	}
	return best
}

// editDistance is Levenshtein's, cut off at limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return min(row[len(b)], limit)
}
