import type { RequestContext } from '../context';
import { findPublishedGuides, type GuideSummary } from '../data/guides';
import { html, htmlResponse, type Html } from '../http/html';

export async function showHome({ env }: RequestContext): Promise<Response> {
  const guides = await findPublishedGuides(env.DB);
  return htmlResponse(homePage(guides));
}

function homePage(guides: readonly GuideSummary[]): Html {
  const list = guides.length > 0 ? html`<ul>${guides.map(guideItem)}</ul>` : html`<p>No guide is published yet.</p>`;
  return html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Atomic Guide</title></head>
<body><main><h1>Atomic Guide</h1>
${list}
</main></body>
</html>
`;
}

function guideItem(guide: GuideSummary): Html {
  return html`<li><a href="/api/guides/${guide.slug}">${guide.title}</a>: ${guide.summary} (${guide.lessons} lessons, ${guide.estimatedMinutes} min)</li>`;
}
