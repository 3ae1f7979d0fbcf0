import type { RequestContext } from '../context';
import { findCourses } from '../data/courses';
import { json } from '../http/json';

export async function listCourses({ env }: RequestContext): Promise<Response> {
  return json({ courses: await findCourses(env.DB) });
}
