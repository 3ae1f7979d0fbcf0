package main

import (
	"strings"

	"golang.org/x/net/html"
)

// asMarkup says how a page repeats a lure as markup; nothing when it escapes it. It reads the page as a browser does,
// because where a thing stands decides what it is: quotes do no harm in text, and end an attribute.
func asMarkup(page string, lure lure) string {
	if strings.Contains(page, "<"+lure.word) {
		return lure.place + " comes back as an element of the page"
	}
	tokens := html.NewTokenizer(strings.NewReader(page))
	inScript := false
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return ""
		case html.StartTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			inScript = token.Data == "script"
			for _, attribute := range token.Attr {
				if strings.Contains(attribute.Key, lure.word) {
					return lure.place + " ends the attribute that it comes back in, and begins another one"
				}
			}
		case html.EndTagToken:
			inScript = false
		case html.TextToken:
			if inScript && strings.Contains(string(tokens.Raw()), lure.word+`'"`) {
				return lure.place + " comes back in a script with both kinds of quotes, so it ends the text that it stands in"
			}
		case html.CommentToken, html.DoctypeToken: // quotes end neither, and brackets were looked for above
		}
	}
}
