export interface Course {
  readonly id: string;
  readonly title: string;
  readonly guides: number;
}

const LIST_COURSES = `
  SELECT courses.id, courses.title, COUNT(guides.id) AS guides
  FROM courses
  LEFT JOIN guides ON guides.course_id = courses.id AND guides.published = 1
  GROUP BY courses.id
  ORDER BY courses.title
  LIMIT 100`;

export async function findCourses(db: D1Database): Promise<Course[]> {
  const { results } = await db.prepare(LIST_COURSES).all<Course>();
  return results;
}
