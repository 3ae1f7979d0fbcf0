import { getAttachment, putAttachment } from './handlers/attachments';
import { listCourses } from './handlers/courses';
import { createGuide, getGuide, listGuides } from './handlers/guides';
import { handleHealthCheck } from './handlers/health';
import { showHome } from './handlers/home';
import { getProgress, recordProgress } from './handlers/progress';
import { Router } from './router';

export const HEALTH_PATH = '/health';

export const router = new Router()
  .on('GET', '/', showHome)
  .on('GET', HEALTH_PATH, ({ env }) => handleHealthCheck(env))
  .on('GET', '/api/courses', listCourses)
  .on('GET', '/api/guides', listGuides)
  .on('POST', '/api/guides', createGuide)
  .on('GET', '/api/guides/:slug', getGuide)
  .on('GET', '/api/lessons/:lesson/attachments/:file', getAttachment)
  .on('PUT', '/api/lessons/:lesson/attachments/:file', putAttachment)
  .on('POST', '/api/progress', recordProgress)
  .on('GET', '/api/progress/:learner', getProgress);
